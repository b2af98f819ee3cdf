"""A small PDF of plain lines, as invoices, credit notes and quotes are downloaded."""

from collections.abc import Sequence

_WIDTH, _HEIGHT = 595, 842  # of A4
_MARGIN, _LEADING = 72, 15


def pdf_of(lines: Sequence[str]) -> bytes:
    """Text on one page, A4 or longer; what the standard font does not have becomes a question
    mark.
    """
    height = max(_HEIGHT, 2 * _MARGIN + _LEADING * len(lines))
    shown = b"".join(b"(%s) Tj T*\n" % _escaped(line) for line in lines)
    start = b"BT /F1 11 Tf %d %d Td %d TL" % (_MARGIN, height - _MARGIN, _LEADING)
    stream = b"%s\n%sET" % (start, shown)
    return _assembled(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 5 0 R"
        b" /Resources << /Font << /F1 3 0 R >> >> >>" % (_WIDTH, height),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    )


def _escaped(line: str) -> bytes:
    plain = line.encode("cp1252", errors="replace")
    for mark in (b"\\", b"(", b")"):
        plain = plain.replace(mark, b"\\" + mark)
    return plain


def _assembled(*objects: bytes) -> bytes:
    """The objects one after the other, and the table that says where each begins."""
    file, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count, start = len(objects) + 1, len(file)
    return file + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (count, table, count, start)
    )
