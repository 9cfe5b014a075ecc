"""What is built can be installed and used away from the source tree."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from unittest import TestCase

ROOT = Path(__file__).parents[2]
PATIENCE = 300


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command and return what it printed; its failure is the test's."""
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert ended.returncode == 0, f"{command}: {ended.stdout}"
    return ended.stdout


class Wheel(TestCase):
    wheel: Path
    folder: Path

    @classmethod
    def setUpClass(cls) -> None:
        """Build the wheel from a copy of the sources, so that no old build leaks into it."""
        temporary = TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        source = cls.folder / "source"
        source.mkdir()
        for name in ("setup.cfg", "pyproject.toml", "README.md"):
            (source / name).write_bytes((ROOT / name).read_bytes())
        left_out = ignore_patterns("__pycache__", "dropin.cache", "*.egg-info")
        for name in ("pxetwist", "twisted"):
            copytree(ROOT / name, source / name, ignore=left_out)
        pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps")
        run(*pip, "--no-build-isolation", "--wheel-dir", cls.folder, source, cwd=cls.folder)
        [cls.wheel] = cls.folder.glob("*.whl")

    def test_everything_is_in_it_and_nothing_else(self) -> None:
        names = set(zipfile.ZipFile(self.wheel).namelist())
        installed = {name for name in names if ".dist-info/" not in name}
        expected = {
            str(file.relative_to(ROOT))
            for folder in ("pxetwist", "twisted")
            for file in (ROOT / folder).rglob("*")
            if file.is_file() and "__pycache__" not in file.parts and file.name != "dropin.cache"
        }
        self.assertEqual(installed, expected)
        self.assertNotIn("twisted/plugins/__init__.py", names)
        self.assertNotIn("twisted/__init__.py", names)

    def test_installed_clean(self) -> None:
        place = self.folder / "venv"
        venv.create(place, with_pip=False)
        [packages] = (place / "lib").glob("python*/site-packages")
        pip = (sys.executable, "-m", "pip", "--python", place / "bin/python", "install")
        run(*pip, "--quiet", "--no-deps", "--no-index", self.wheel, cwd=self.folder)
        # its dependencies come from here, but not our own sources: those come by a .pth file
        here = [path for path in sys.path if path.endswith("site-packages")]
        (packages / "dependencies.pth").write_text("\n".join(here) + "\n")
        start = "from twisted.scripts.twistd import run; run()"
        twistd = run(place / "bin/python", "-c", start, "--help", cwd=place)
        self.assertRegex(twistd, r"\n    pxe +A network boot server\.")
        plugins = run(place / "bin/pxetwist", "plugins", cwd=place)
        self.assertIn("service:tftp ", plugins)
        where = run(
            place / "bin/python", "-c", "import pxetwist; print(pxetwist.__file__)", cwd=place
        )
        self.assertEqual(where.strip(), str(packages / "pxetwist/__init__.py"))
