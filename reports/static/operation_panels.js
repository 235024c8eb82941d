// Panels of client operations: latency, rate, and one lane per client.
// Drawn from typed arrays, marks that would fall on one pixel merged; the rare outcomes last, so that none is hidden.

class LatencyPanel {
  constructor(operations, bands) {
    this.operations = operations;
    this.bands = bands;
    this.height = operations.count ? 190 : 0;
    this.low = Math.floor(Math.log10(operations.least));
    this.high = Math.max(this.low + 1, Math.ceil(Math.log10(operations.most) - 1e-9));
    this.rows = [this];
    this.name = "latency";
    this.y = 0;
  }

  y10(took) {
    const part = (Math.log10(Math.max(1, took)) - this.low) / (this.high - this.low);
    return 12 + (this.height - 24) * (1 - Math.min(1, Math.max(0, part)));
  }

  get count() { return this.operations.count; }
  at(i) { return this.operations.call[i]; }
  end(i) { return this.operations.call[i] + Math.max(0, this.operations.took[i]); }
  describe(i, view) { return this.operations.describe(i, view); }

  nearest(tick, reach, y) {
    const { operations } = this, { call, took } = operations;
    let best = -1, least = 14 * 14;
    const scale = NEAR / reach;
    for (let i = firstAtLeast(call, tick - 2 * reach); i < call.length && call[i] <= tick + 2 * reach; i++) {
      const dx = (call[i] - tick) * scale, dy = (took[i] < 0 ? 6 : this.y10(took[i])) - y;
      const away = dx * dx + dy * dy - (operations.type[i] === OK ? 0 : 20);
      if (away < least) [best, least] = [i, away];
    }
    return best;
  }

  draw(brush) {
    const { theme, view } = brush;
    drawBands(brush, this.bands);
    brush.grid();
    brush.label("latency", 14, theme.muted);
    for (let power = this.low; power <= this.high; power++) {
      const y = this.y10(10 ** power);
      brush.line(view.gutter, Math.round(y) + 0.5, view.gutter + view.inner, Math.round(y) + 0.5, theme.rule);
      if (view.gutter > 100 || y > 52) brush.text(view.length(10 ** power), view.gutter - 6, y, 60, theme.muted, "right");
    }
    this.points(brush);
    this.lines(brush);
  }

  points(brush) {
    const { operations } = this, { call, took, type } = operations, { view, theme } = brush;
    const first = firstAtLeast(call, view.from), last = firstAtLeast(call, view.to);
    const raster = new Raster(brush), colour = word(theme.ok, 200), rare = [], size = last - first < 3000 ? 4 : 2;
    for (let i = first; i < last; i++) {
      if (type[i] !== OK) rare.push(i);
      else raster.dot(view.x(call[i]), this.y10(took[i]), size, colour);
    }
    raster.flush();
    for (const i of rare) {
      const x = view.x(call[i]), y = took[i] < 0 ? 6 : this.y10(took[i]);
      if (x < view.gutter) continue;
      if (type[i] === INFO) brush.triangle(x, y, 4, theme.infoFill); else brush.cross(x, y, 3, theme.fail);
    }
  }

  lines(brush) {
    const { view, theme, c } = brush, { step, groups } = buckets(this.operations, view);
    // A median of a handful is not one: then the points speak for themselves.
    if (groups.reduce((sum, group) => sum + group.counts[OK], 0) < 5 * groups.length) return;
    for (const [name, colour, dash] of [["median", theme.ink, []], ["p99", theme.ink, [4, 3]]]) {
      c.save();
      c.beginPath();
      c.rect(view.gutter, 0, view.inner, this.height);
      c.clip();
      c.strokeStyle = colour;
      c.lineWidth = 1.5;
      c.setLineDash(dash);
      c.beginPath();
      let open = false;
      for (const group of groups) {
        if (group[name] < 0) { open = false; continue; }
        const x = view.x(group.from + step / 2), y = this.y10(group[name]);
        if (open) c.lineTo(x, y); else c.moveTo(x, y);
        open = true;
      }
      c.stroke();
      c.restore();
    }
    brush.text("— median", 8, 31, view.gutter - 14, theme.muted);
    brush.text("- - 99 %", 8, 45, view.gutter - 14, theme.muted);
  }
}

// Completions in equal, round stretches of the window: counts by type, median and 99th percentile of ok.
// Stretches are counted from zero, so that moving the window finds most of them already made.
function buckets(operations, view) {
  const stepNs = roundStep(view.span * view.tickNs / Math.max(10, view.inner / 12)), step = stepNs / view.tickNs;
  if (buckets.step !== step || buckets.of !== operations) Object.assign(buckets, { step, of: operations, made: new Map() });
  const groups = [], last = Math.ceil((view.to - view.zero) / step);
  for (let number = Math.floor((view.from - view.zero) / step); number < last && groups.length < 2000; number++) {
    let group = buckets.made.get(number);
    if (!group) buckets.made.set(number, group = bucket(operations, view.zero + number * step, step));
    groups.push(group);
  }
  return { step, stepNs, groups };
}

function bucket(operations, from, step) {
  const { completed, completedAt, type, took } = operations, counts = [0, 0, 0], lengths = [];
  for (let next = firstAtLeast(completedAt, from); next < completed.length && completedAt[next] < from + step; next++) {
    const i = completed[next];
    counts[type[i]]++;
    if (type[i] === OK) lengths.push(took[i]);
  }
  const sorted = Float64Array.from(lengths).sort(), last = sorted.length - 1;
  return { from, counts, median: last < 0 ? -1 : sorted[last >> 1], p99: last < 0 ? -1 : sorted[Math.ceil(0.99 * (last + 1)) - 1] };
}

class RatePanel {
  constructor(operations, bands) {
    this.operations = operations;
    this.bands = bands;
    this.height = operations.count ? 84 : 0;
    this.rows = [];
  }

  draw(brush) {
    const { view, theme } = brush, { step, stepNs, groups } = buckets(this.operations, view);
    drawBands(brush, this.bands);
    brush.grid();
    const total = (group) => group.counts[OK] + group.counts[FAIL] + group.counts[INFO];
    const most = Math.max(1, ...groups.map(total)), room = this.height - 16;
    brush.label("completed", 14, theme.muted);
    const perSecond = most / (stepNs / 1e9);
    brush.label(`most ${perSecond >= 10 ? Math.round(perSecond).toLocaleString("en") : perSecond.toPrecision(2)}/s`, 29, theme.muted);
    for (const group of groups) {
      let y = this.height - 4;
      for (const type of [OK, INFO, FAIL]) {
        const height = group.counts[type] / most * room;
        if (!height) continue;
        // An outcome that is there is seen, however rare.
        const tall = type === OK ? height : Math.max(2, height);
        y -= tall;
        const [x, width] = brush.cut(group.from, group.from + step, 1);
        if (width > 0) brush.rect(x, y, Math.max(1, width - 0.6), tall, theme.types[type]);
      }
    }
  }
}

function drawBands(brush, bands) {
  for (const [from, to] of bands) brush.span(from, to, 0, brush.height, brush.theme.band, 1);
}

class ClientRow {
  constructor(operations, lane, y, height) {
    Object.assign(this, { operations, lane, y, height, name: operations.lanes[lane] });
    this.members = operations.byLane[lane];
    this.calls = operations.laneCalls[lane];
  }

  get count() { return this.members.length; }
  at(i) { return this.calls[i]; }
  end(i) { return this.calls[i] + Math.max(0, this.operations.took[this.members[i]]); }
  describe(i, view) { return this.operations.describe(this.members[i], view); }

  nearest(tick, reach) {
    let best = -1, least = reach;
    // A client has one operation open at a time: only the last begun before, and the next one, can be near.
    const next = firstAtLeast(this.calls, tick);
    for (let i = Math.max(0, next - 2); i <= Math.min(next, this.count - 1); i++) {
      const away = tick < this.at(i) ? this.at(i) - tick : Math.max(0, tick - this.end(i));
      if (away <= least) [best, least] = [i, away];
    }
    return best;
  }
}

class ClientPanel {
  constructor(operations, bands, marked) {
    this.operations = operations;
    this.bands = bands;
    this.marked = new Set(marked.map((index) => operations.place(index)).filter((i) => i >= 0));
    const count = operations.lanes.length;
    this.lane = operations.count ? Math.max(5, Math.min(18, Math.floor(440 / Math.max(1, count)))) : 0;
    this.height = operations.count ? count * this.lane + 8 : 0;
    this.rows = operations.lanes.map((_, lane) => new ClientRow(operations, lane, 4 + lane * this.lane, this.lane));
  }

  draw(brush) {
    drawBands(brush, this.bands);
    brush.grid();
    const every = Math.max(1, Math.ceil(13 / this.lane)), raster = new Raster(brush);
    const rare = this.rows.map((row) => this.fill(brush.view, raster, row, brush.theme.ok));
    raster.flush();
    this.rows.forEach((row, lane) => {
      if (lane % every === 0) brush.label(row.name, row.y + this.lane / 2, brush.theme.muted);
      this.marks(brush, row, rare[lane]);
    });
  }

  get bar() { return this.lane - (this.lane >= 8 ? 2 : 1); }

  // The begun before the window may reach into it.
  range(row, view) { return [Math.max(0, firstAtLeast(row.calls, view.from) - 2), firstAtLeast(row.calls, view.to)]; }

  // Ordinary operations as coverage of pixel columns; returns the others.
  fill(view, raster, row, colour) {
    const { operations } = this, { type, took } = operations, rare = [], { ratio, left, right } = raster;
    const cover = new Float32Array(raster.width + 1), [first, last] = this.range(row, view);
    for (let place = first; place < last; place++) {
      const i = row.members[place];
      if (type[i] !== OK || this.marked.has(i)) { rare.push(place); continue; }
      let from = view.x(row.calls[place]) * ratio, to = view.x(row.calls[place] + took[i]) * ratio;
      if (to - from > 4 * ratio) to -= ratio;
      from = Math.max(from, left);
      to = Math.min(to, right);
      if (to < from) continue;
      to = Math.max(to, from + 0.3);
      const start = Math.floor(from), stop = Math.floor(to);
      if (start === stop) { cover[start] += to - from; continue; }
      cover[start] += start + 1 - from;
      for (let column = start + 1; column < stop; column++) cover[column] = 1;
      if (stop < cover.length) cover[stop] += to - stop;
    }
    raster.strip(row.y, this.bar, cover, colour);
    return rare;
  }

  marks(brush, row, rare) {
    const { operations } = this, { took, type } = operations, { view, theme } = brush, height = this.bar;
    for (const place of rare) {
      const i = row.members[place], open = took[i] < 0, to = open ? view.end : row.end(place);
      brush.span(row.calls[place], to, row.y, open ? Math.max(2, height / 3) : height, theme.types[type[i]], 2);
      if (this.marked.has(i)) {
        const [x, width] = brush.cut(row.calls[place], to, 3);
        if (width > 0) { brush.c.lineWidth = 2; brush.c.strokeStyle = theme.ink; brush.c.strokeRect(x - 1, row.y - 1, width + 2, height + 2); }
      }
    }
    if (height >= 13) this.words(brush, row, ...this.range(row, view), height);
  }

  // Zoomed in far enough, the bars say what they are.
  words(brush, row, first, last, height) {
    if (last - first > 400) return;
    const { view } = brush;
    for (let place = first; place < last; place++) {
      const [x, width] = brush.cut(row.calls[place], row.end(place), 1);
      if (width < 56) continue;
      const [heading] = this.operations.describe(row.members[place], view);
      const dark = this.operations.type[row.members[place]] === INFO;
      brush.text(heading, x + 3, row.y + height / 2 + 0.5, width - 6, dark ? "#1a1f26" : brush.theme.bg);
    }
  }
}
