"""`Session`, the one object people hold."""

from __future__ import annotations

from kiegen_nb.session.facade import Session as Session
