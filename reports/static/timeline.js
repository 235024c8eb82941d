// The stage: panels one under the other on one View, a cursor, and what pointer, wheel and keys do to them.

class Timeline {
  constructor(root, stage, details, data) {
    Object.assign(this, { root, stage, details, data });
    this.view = new View(data);
    this.operations = new Operations(data.operations);
    const bands = data.faults.flatMap((fault) => fault.segments.filter((part) => part[2] === "effect"));
    this.panels = [
      new LanesPanel(data, bands),
      new LatencyPanel(this.operations, bands),
      new RatePanel(this.operations, bands),
      new ReplicaPanel(data.replicas),
      new ClientPanel(this.operations, bands, data.counterexample),
    ].filter((panel) => panel.height > 0);
    this.axis = this.canvas("axis");
    for (const panel of this.panels) panel.canvas = this.canvas("panel");
    this.cursor = document.createElement("div");
    this.cursor.id = "cursor";
    this.cursor.hidden = true;
    stage.append(this.cursor);
    this.rows = this.panels.flatMap((panel) => panel.rows.map((row) => ({ panel, row }))).filter(({ row }) => row.count > 0);
    this.chosen = Math.max(0, this.rows.findIndex(({ panel }) => panel instanceof ClientPanel));
    this.item = -1;
    this.theme = readTheme();
    this.listen();
    this.resize();
  }

  canvas(kind) {
    const canvas = document.createElement("canvas");
    canvas.className = kind;
    canvas.setAttribute("aria-hidden", "true");
    this.stage.append(canvas);
    return canvas;
  }

  resize() {
    this.view.width = this.stage.clientWidth;
    this.view.gutter = this.view.width < 600 ? 78 : 118;
    this.ask();
  }

  ask() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.draw(); });
  }

  draw() {
    this.drawOne(this.axis, 26, (brush) => {
      for (const [tick, label] of this.view.grid()) {
        const x = this.view.x(tick);
        if (x < this.view.gutter) continue;
        brush.line(Math.round(x) + 0.5, 20, Math.round(x) + 0.5, 26, this.theme.muted);
        if (x < this.view.width - 24) brush.text(label, x, 11, 100, this.theme.muted, "center");
      }
      brush.label("time", 12, this.theme.muted);
    });
    for (const panel of this.panels) {
      this.drawOne(panel.canvas, panel.height, (brush) => {
        panel.draw(brush);
        brush.line(0, panel.height - 0.5, this.view.width, panel.height - 0.5, this.theme.rule);
        this.drawChosen(panel, brush);
      });
    }
    const whole = this.view.span >= this.view.end;
    const { view } = this;
    document.getElementById("window").textContent = whole
      ? `whole run, ${view.length(view.end)}`
      : `${view.time(Math.max(0, view.from))} to ${view.time(Math.min(view.end, view.to))} of ${view.length(view.end)}`;
  }

  drawOne(canvas, height, paint) {
    const ratio = Math.min(2, window.devicePixelRatio || 1), { width } = this.view;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.height = `${height}px`;
    }
    const context = canvas.getContext("2d", { alpha: false });
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = this.theme.bg;
    context.fillRect(0, 0, width, height);
    paint(new Brush(context, this.view, this.theme, height, ratio));
  }

  // The lane and the event the keyboard is at.
  drawChosen(panel, brush) {
    if (document.activeElement !== this.stage) return;
    const here = this.rows[this.chosen];
    if (!here || here.panel !== panel) return;
    const { row } = here;
    brush.rect(0, row.y, 3, row.height, this.theme.ok);
    if (this.item < 0) return;
    const [x, width] = brush.cut(row.at(this.item), row.end(this.item), 3);
    if (width > 0 && panel !== row) brush.frame(x - 3, row.y - 1, width + 6, row.height + 1, this.theme.ink);
  }

  listen() {
    const { stage } = this;
    new ResizeObserver(() => this.resize()).observe(stage);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.theme = readTheme(); this.ask(); });
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.press(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", (event) => this.release(event));
    stage.addEventListener("pointercancel", (event) => this.release(event));
    stage.addEventListener("pointerleave", () => { this.cursor.hidden = true; });
    stage.addEventListener("dblclick", (event) => { this.view.zoom(0.4, this.at(event)); this.moved(); });
    stage.addEventListener("keydown", (event) => this.key(event));
    stage.addEventListener("focus", () => this.ask());
    stage.addEventListener("blur", () => this.ask());
    const actions = { in: () => this.view.zoom(0.5), out: () => this.view.zoom(2), left: () => this.view.pan(-this.view.span / 3), right: () => this.view.pan(this.view.span / 3), all: () => this.view.all() };
    for (const button of this.root.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => { actions[button.dataset.do](); this.moved(); });
    }
  }

  at(event) { return event.clientX - this.stage.getBoundingClientRect().left; }

  // The wheel belongs to the page, except over the axis, sideways, or with Ctrl or Shift.
  wheel(event) {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (event.shiftKey || sideways) this.view.pan((sideways ? event.deltaX : event.deltaY) / this.view.inner * this.view.span);
    else if (event.ctrlKey || event.metaKey || event.target === this.axis) this.view.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.006), this.at(event));
    else return;
    event.preventDefault();
    this.moved();
  }

  press(event) {
    if (event.button !== 0) return;
    this.held = { x: this.at(event), from: this.view.from, to: this.view.to };
    this.stage.setPointerCapture(event.pointerId);
  }

  move(event) {
    const x = this.at(event);
    if (this.held) {
      const ticks = (this.held.x - x) / this.view.inner * (this.held.to - this.held.from);
      if (Math.abs(this.held.x - x) > 3) this.stage.classList.add("dragging");
      this.view.set(this.held.from + ticks, this.held.to + ticks);
      this.moved();
      return;
    }
    this.cursor.hidden = x < this.view.gutter;
    this.cursor.style.transform = `translateX(${Math.round(x)}px)`;
    const found = this.find(event);
    if (found) this.tell(found.row, found.item, this.view.tick(x));
  }

  release(event) {
    if (!this.held) return;
    this.held = null;
    this.stage.classList.remove("dragging");
    const found = this.find(event);
    if (!found) return;
    this.chosen = this.rows.findIndex(({ row }) => row === found.row);
    this.item = found.item;
    this.ask();
  }

  find(event) {
    const x = this.at(event), reach = NEAR / this.view.inner * this.view.span;
    const panel = this.panels.find(({ canvas }) => canvas === event.target) ?? this.panels.find(({ canvas }) => {
      const box = canvas.getBoundingClientRect();
      return event.clientY >= box.top && event.clientY < box.bottom;
    });
    if (!panel || x < this.view.gutter) return null;
    const y = event.clientY - panel.canvas.getBoundingClientRect().top;
    const row = panel.rows.find((each) => y >= each.y && y < each.y + each.height && each.count > 0);
    return row ? { row, item: row.nearest(this.view.tick(x), reach, y - row.y) } : null;
  }

  tell(row, item, tick) {
    if (item < 0 && !row.extra) return;
    const [heading, pairs] = item < 0 ? [row.name, [["at", this.view.time(tick)]]] : row.describe(item, this.view);
    const more = row.extra ? row.extra(item < 0 ? tick : row.at(item)) : [];
    const title = document.createElement("p"), list = document.createElement("dl");
    title.className = "what";
    title.textContent = heading;
    for (const [name, value] of [...pairs, ...more]) {
      const box = document.createElement("div"), term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = name;
      text.textContent = value;
      if (name) box.append(term);
      box.append(text);
      list.append(box);
    }
    this.details.replaceChildren(title, list);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { view } = this;
    const actions = {
      ArrowUp: () => this.choose(-1), ArrowDown: () => this.choose(1),
      ArrowLeft: () => (event.shiftKey ? view.pan(-view.span / 8) : this.step(-1)),
      ArrowRight: () => (event.shiftKey ? view.pan(view.span / 8) : this.step(1)),
      "+": () => this.zoomHere(0.5), "=": () => this.zoomHere(0.5), "-": () => this.zoomHere(2), "0": () => view.all(),
      Home: () => { this.item = -1; this.step(1); }, End: () => { this.item = this.rows[this.chosen]?.row.count ?? 0; this.step(-1); },
      Enter: () => this.approach(),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
    this.moved();
  }

  zoomHere(factor) {
    const here = this.rows[this.chosen];
    this.view.zoom(factor, here && this.item >= 0 ? this.view.x(here.row.at(this.item)) : undefined);
  }

  choose(direction) {
    const here = this.rows[this.chosen], tick = here && this.item >= 0 ? here.row.at(this.item) : (this.view.from + this.view.to) / 2;
    this.chosen = Math.min(Math.max(this.chosen + direction, 0), this.rows.length - 1);
    const { row, panel } = this.rows[this.chosen] ?? {};
    if (!row) return;
    this.item = -1;
    for (let i = 0, least = Infinity; i < row.count; i++) {
      const away = Math.abs(row.at(i) - tick);
      if (away < least) [this.item, least] = [i, away];
    }
    this.tell(row, this.item, tick);
    panel.canvas.scrollIntoView({ block: "nearest" });
  }

  step(direction) {
    const { row } = this.rows[this.chosen] ?? {};
    if (!row) return;
    if (this.item < 0 && direction < 0) this.item = row.count;
    else if (this.item < 0) {
      while (this.item + 1 < row.count - 1 && row.at(this.item + 1) < this.view.from) this.item++;
    }
    this.item = Math.min(Math.max(this.item + direction, 0), row.count - 1);
    this.view.show(row.at(this.item), row.at(this.item));
    this.tell(row, this.item, row.at(this.item));
  }

  approach() {
    const { row } = this.rows[this.chosen] ?? {};
    if (!row || this.item < 0) return;
    const from = row.at(this.item), to = row.end(this.item), margin = Math.max((to - from) * 2, this.view.end / 500, 20);
    this.view.set(from - margin, to + margin);
    this.tell(row, this.item, from);
  }

  // A set of operations by their index: the counterexample, or one from the address.
  showOperations(indexes) {
    const { operations, view } = this, places = indexes.map((index) => operations.place(index)).filter((i) => i >= 0);
    if (!places.length) return;
    const from = Math.min(...places.map((i) => operations.call[i])), to = Math.max(...places.map((i) => operations.call[i] + Math.max(0, operations.took[i])));
    const margin = Math.max((to - from) * 0.08, 20);
    view.set(from - margin, to + margin);
    this.chosen = this.rows.findIndex(({ row }) => row instanceof ClientRow && row.lane === operations.lane[places.at(-1)]);
    this.item = this.rows[this.chosen].row.members.indexOf(places.at(-1));
    this.tell(this.rows[this.chosen].row, this.item, from);
    this.moved();
  }

  moved() {
    this.ask();
    clearTimeout(this.later);
    this.later = setTimeout(() => this.writeAddress(), 250);
  }

  // The window stands in the address, so that a moment can be linked.
  writeAddress() {
    const { view } = this, seconds = (tick) => (view.ns(tick) / 1e9).toFixed(6);
    const hash = view.span >= view.end ? "#" : `#t=${seconds(view.from)}..${seconds(view.to)}`;
    try { history.replaceState(null, "", hash); } catch { /* some browsers forbid it for files; the page works without */ }
  }

  readAddress() {
    const window_ = /[#&]t=(-?[\d.]+)\.\.(-?[\d.]+)/.exec(location.hash), one = /[#&]op=(\d+)/.exec(location.hash);
    if (one) this.showOperations([Number(one[1])]);
    if (window_) {
      const [from, to] = [Number(window_[1]), Number(window_[2])].map((s) => s * 1e9 / this.view.tickNs + this.view.zero);
      if (Number.isFinite(from) && Number.isFinite(to) && from < to) this.view.set(from, to);
    }
    this.ask();
  }
}
