"""Bar charts as SVG. Colours come from the page's style sheet, so that they follow light and dark."""

from html import escape

WIDTH, LABEL, VALUE = 760, 150, 110  # the columns: label, bars, value
ROW, BAR, TOP = 34, 20, 8


def bar_chart(title, rows):
    """rows: (label, [(value, css class, tooltip)], text). The values of a row are stacked with gaps between them."""
    widest = max((sum(value for value, _, _ in parts) for _, parts, _ in rows), default=0) or 1
    scale = (WIDTH - LABEL - VALUE) / widest
    height = TOP * 2 + ROW * len(rows)
    out = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title, quote=True)}">',
        f'<line class="axis" x1="{LABEL}" x2="{LABEL}" y1="{TOP}" y2="{height - TOP}"/>',
    ]
    for number, (label, parts, text) in enumerate(rows):
        y = TOP + number * ROW + (ROW - BAR) / 2
        middle = y + BAR / 2
        out.append(f'<text class="label" x="{LABEL - 12}" y="{middle:.1f}">{escape(label)}</text>')
        x = LABEL + 1.0
        for value, name, tip in parts:
            width = value * scale
            shown = max(2.0, width - (1.5 if len(parts) > 1 else 0))
            out.append(
                f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{shown:.1f}" height="{BAR}" rx="3">'
                f"<title>{escape(tip)}</title></rect>"
            )
            x += max(width, shown)
        out.append(f'<text class="value" x="{x + 10:.1f}" y="{middle:.1f}">{escape(text)}</text>')
    out.append("</svg>")
    return "\n".join(out)
