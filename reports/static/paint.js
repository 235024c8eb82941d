// Colours from the style sheet, and the few strokes every panel needs.

const THEME_NAMES = [
  "bg", "panel", "ink", "muted", "rule", "rule-soft", "ok", "info", "info-fill", "fail", "view", "view-fill", "good",
  "tint-a", "tint-b", "down", "band",
];

function readTheme() {
  const style = getComputedStyle(document.documentElement), theme = {};
  for (const name of THEME_NAMES) theme[name.replace(/-(.)/g, (_, c) => c.toUpperCase())] = style.getPropertyValue(`--${name}`).trim();
  theme.sans = style.getPropertyValue("--sans").trim();
  theme.font = `11px ${theme.sans}`;
  theme.types = [theme.ok, theme.fail, theme.infoFill];
  return theme;
}

class Brush {
  constructor(context, view, theme, height) {
    this.c = context;
    this.view = view;
    this.theme = theme;
    this.height = height;
  }

  rect(x, y, width, height, colour) {
    this.c.fillStyle = colour;
    this.c.fillRect(x, y, width, height);
  }

  // From tick to tick, never thinner than `least` pixels, cut to the plot.
  span(from, to, y, height, colour, least = 1) {
    const [x, width] = this.cut(from, to, least);
    if (width > 0) this.rect(x, y, width, height, colour);
  }

  cut(from, to, least = 1) {
    const { view } = this;
    const left = Math.max(view.gutter, view.x(from)), right = Math.min(view.gutter + view.inner, Math.max(view.x(to), view.x(from) + least));
    return [left, right - left];
  }

  hatch(from, to, y, height, colour) {
    const [x, width] = this.cut(from, to, 2);
    if (width <= 0) return;
    const { c } = this;
    c.save();
    c.beginPath();
    c.rect(x, y, width, height);
    c.clip();
    c.strokeStyle = colour;
    c.lineWidth = 2;
    c.beginPath();
    const first = x - height - (x % 6);
    for (let at = first; at < x + width + height; at += 6) {
      c.moveTo(at, y + height);
      c.lineTo(at + height, y);
    }
    c.stroke();
    c.restore();
    this.frame(x, y, width, height, colour);
  }

  frame(x, y, width, height, colour) {
    this.c.strokeStyle = colour;
    this.c.lineWidth = 1;
    this.c.strokeRect(x + 0.5, y + 0.5, Math.max(0, width - 1), height - 1);
  }

  // Text that never leaves its room: cut with an ellipsis, or left out when not even three letters fit.
  text(text, x, y, room, colour, align = "left") {
    const { c } = this;
    c.font = this.theme.font;
    c.textBaseline = "middle";
    c.textAlign = align;
    c.fillStyle = colour;
    let shown = text.length > 200 ? text.slice(0, 200) : text;
    if (c.measureText(shown).width > room) {
      let low = 0, high = shown.length;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (c.measureText(`${shown.slice(0, middle)}…`).width <= room) low = middle; else high = middle - 1;
      }
      if (low < 3) return;
      shown = `${shown.slice(0, low)}…`;
    }
    c.fillText(shown, x, y);
  }

  label(text, y, colour = this.theme.ink) { this.text(text, 8, y, this.view.gutter - 14, colour); }

  line(x1, y1, x2, y2, colour, width = 1) {
    const { c } = this;
    c.strokeStyle = colour;
    c.lineWidth = width;
    c.beginPath();
    c.moveTo(x1, y1);
    c.lineTo(x2, y2);
    c.stroke();
  }

  diamond(x, y, size, colour) { this.shape([[x, y - size], [x + size, y], [x, y + size], [x - size, y]], colour); }

  triangle(x, y, size, colour) { this.shape([[x, y - size], [x + size, y + size], [x - size, y + size]], colour); }

  shape(points, colour) {
    const { c } = this;
    c.fillStyle = colour;
    c.beginPath();
    points.forEach(([x, y], i) => (i ? c.lineTo(x, y) : c.moveTo(x, y)));
    c.fill();
  }

  cross(x, y, size, colour, width = 2) {
    const { c } = this;
    c.strokeStyle = colour;
    c.lineWidth = width;
    c.beginPath();
    c.moveTo(x - size, y - size);
    c.lineTo(x + size, y + size);
    c.moveTo(x + size, y - size);
    c.lineTo(x - size, y + size);
    c.stroke();
  }

  grid() {
    for (const [tick] of this.view.grid()) {
      const x = Math.round(this.view.x(tick)) + 0.5;
      if (x >= this.view.gutter) this.line(x, 0, x, this.height, this.theme.ruleSoft);
    }
  }

  visible(from, to) { return to >= this.view.from && from <= this.view.to; }
}
