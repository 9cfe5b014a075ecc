"""One file on its way from a client: does what :mod:`pxetwist.exchange.tftp_write` decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pxetwist.exchange.tftp import Finished, Outcome
from pxetwist.exchange.tftp_write import Action, Answer, Keep, WriteTransfer
from pxetwist.model.boot import BootRequest
from pxetwist.services.requests import octets_text, transferred
from pxetwist.services.sockets import Peer
from pxetwist.services.tftp.running_transfer import ITransferOwner, RunningTransfer, reason
from pxetwist.services.tftp.transfer_interfaces import ITransferSocket
from pxetwist.services.uploads import Upload, UploadExists, UploadTooLarge
from pxetwist.wire.netascii import NetasciiDecoder
from pxetwist.wire.tftp import Error, ErrorCode, WriteRequest, encode

EXISTS = Error(ErrorCode.FILE_EXISTS, "There is such a file")
TOO_LARGE = Error(ErrorCode.DISK_FULL, "The file is too large")
_NOT_KEPT = Error(ErrorCode.UNDEFINED, "The server cannot keep the file")


class FileReception(RunningTransfer[WriteTransfer]):
    """A file that a client sends; it has its name before its last block is acknowledged."""

    def __init__(
        self,
        owner: ITransferOwner,
        asked: WriteRequest,
        request: BootRequest,
        *,
        upload: Upload,
        peer: Peer,
        clock: Any,
    ) -> None:
        super().__init__(owner, asked, request, peer=peer, clock=clock)
        self._upload = upload
        self._decoder = NetasciiDecoder() if asked.mode == "netascii" else None

    def begin(self, machine: WriteTransfer, socket: ITransferSocket) -> None:
        """Ask for the first block."""
        self.machine = machine
        self._socket = socket
        self._act(machine.start())

    def acknowledged(self, block: int, now: float) -> None:
        """Pass over an ACK: whoever sends a file has nothing to acknowledge."""

    def report(self, finished: Finished) -> tuple[bool, str, Mapping[str, object]]:
        """Return whether it ended well, one line for people, and the same for programs."""
        path, octets = self.request.wanted, self._upload.size
        whole = finished.outcome is Outcome.RECEIVED
        if whole:
            summary = f"received {transferred(path, octets, self._seconds())}"
        else:
            so_far = octets_text(octets)
            summary = f"stopped receiving {path} after {so_far}: {reason(finished)}"
        size = octets if whole else self.machine.announced or 0
        return whole, summary, self._details(finished, octets, size)

    def _perform(self, action: Action) -> None:
        if isinstance(action, Answer):
            self._socket.send(action.packet)
        elif isinstance(action, Keep):
            self._keep(action)
        else:
            if action.outcome is Outcome.LOST and action.error is not None:  # it is ours
                self._socket.send(encode(action.error))
            self._finish(action)

    def _keep(self, block: Keep) -> None:
        data = block.payload
        if self._decoder is not None:
            data = self._decoder.decode(data, last=block.last)
        try:
            self._upload.write(data)
            if block.last:
                self._upload.publish()
        except UploadExists as error:
            self._broken(error, EXISTS)
        except UploadTooLarge as error:
            self._broken(error, TOO_LARGE)
        except OSError as error:
            self._broken(error, _NOT_KEPT)
        else:
            self._socket.send(block.answer)
            if block.last:
                self._upload.close()
                self._owner.tell(self, Finished(Outcome.RECEIVED))

    def _release(self) -> None:
        self._upload.close()
