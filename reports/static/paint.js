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
  constructor(context, view, theme, height, ratio) {
    this.c = context;
    this.ratio = ratio;
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

  // The first of these that fits, or nothing: half a word beside half a word reads as neither.
  whole(texts, x, y, room, colour) {
    this.c.font = this.theme.font;
    const fits = texts.find((text) => this.c.measureText(text).width <= room);
    if (fits !== undefined) this.text(fits, x, y, room, colour);
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

// Very many small marks, set as pixels instead of drawn one by one: what 100 000 operations cost is what the screen costs.
class Raster {
  constructor(brush) {
    this.brush = brush;
    this.ratio = brush.ratio;
    this.width = Math.max(1, Math.round(brush.view.width * this.ratio));
    this.height = Math.max(1, Math.round(brush.height * this.ratio));
    this.image = new ImageData(this.width, this.height);
    this.words = new Uint32Array(this.image.data.buffer);
    this.left = Math.round(brush.view.gutter * this.ratio);
    this.right = Math.round((brush.view.gutter + brush.view.inner) * this.ratio);
  }

  // A square of `size` around a point, in the colour made by word().
  dot(x, y, size, word) {
    const side = Math.round(size * this.ratio);
    const x0 = Math.round(x * this.ratio - side / 2), y0 = Math.round(y * this.ratio - side / 2);
    const from = Math.max(this.left, x0), to = Math.min(this.right, x0 + side);
    for (let row = Math.max(0, y0); row < Math.min(this.height, y0 + side); row++) {
      for (let column = from; column < to; column++) this.words[row * this.width + column] = word;
    }
  }

  // One row of bars: how much of each column is covered is how strong its colour is.
  strip(y, height, cover, colour) {
    const base = word(colour, 0), top = Math.round(y * this.ratio), bottom = Math.min(this.height, Math.round((y + height) * this.ratio));
    for (let column = this.left; column < this.right; column++) {
      if (!cover[column]) continue;
      const alpha = Math.min(255, Math.max(70, Math.round(cover[column] * 255)));
      const value = (base | (alpha << 24)) >>> 0;
      for (let row = top; row < bottom; row++) this.words[row * this.width + column] = value;
    }
  }

  flush() {
    const layer = new OffscreenCanvas(this.width, this.height);
    layer.getContext("2d").putImageData(this.image, 0, 0);
    this.brush.c.drawImage(layer, 0, 0, this.width / this.ratio, this.height / this.ratio);
  }
}

// "#rrggbb" as one pixel, bytes red, green, blue, alpha from the lowest (every machine a browser runs on is little-endian).
function word(colour, alpha) {
  const number = parseInt(colour.slice(1, 7), 16);
  return (((number >> 16) & 255) | (number & 0xff00) | ((number & 255) << 16) | (alpha << 24)) >>> 0;
}
