"""Contents that stand: as long as nothing that a text was made of has changed, who asks for it
again in the same words is given it again.

What is kept is what was decided and opened, never an answer: that is made, counted and told each
time.
"""

from __future__ import annotations

import attrs

from pxetwist.interfaces import IBoot, IContent
from pxetwist.model.boot import BootRequest, Edition
from pxetwist.model.identity import ClientIdentity

#: So many are kept at least, each the latest of one peer for one question.
STANDING = 1024


@attrs.frozen(eq=False)
class Standing:
    """A text in memory, the resolved request that it was opened for, and `who` asked: a machine,
    and the id of its boot.
    """

    who: tuple[ClientIdentity, str]
    request: BootRequest
    edition: Edition
    content: IContent

    def holds(self, who: tuple[ClientIdentity, str], boot: IBoot) -> bool:
        """Whether this would be opened now if somebody asked as before; `who` asks now."""
        (before, boot_id), (identity, present) = self.who, who
        return (
            boot_id == present
            and (before is identity or before == identity)
            and boot.stands(self.request, self.edition)
        )
