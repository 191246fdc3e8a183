"""The response to a decided request: what answers (``route``), sending it, its headers (``headers``, ``finish``)."""
