// Panels above the operations: phases and faults, and the replicas. A panel has a height, a draw, and rows.
// A row is what the pointer and the arrow keys find: events in order of time, each with words.

const NEAR = 7;

// Events with a time of their own: [{at, end, heading, pairs}]. The nearest within reach wins, the latest among equals.
class EventRow {
  constructor(name, y, height, events) {
    this.name = name;
    this.y = y;
    this.height = height;
    this.events = events.sort((a, b) => a.at - b.at);
  }

  get count() { return this.events.length; }
  at(i) { return this.events[i].at; }
  end(i) { return this.events[i].end ?? this.events[i].at; }

  nearest(tick, reach) {
    let best = -1, least = Infinity;
    for (let i = 0; i < this.events.length; i++) {
      const { at, end } = this.events[i];
      const away = tick < at ? at - tick : tick > (end ?? at) ? tick - (end ?? at) : end === undefined ? 0 : reach * 0.6;
      if (away <= reach && away <= least) [best, least] = [i, away];
    }
    return best;
  }

  describe(i, view) {
    const event = this.events[i];
    const pairs = [["at", view.time(event.at)], ...event.pairs.filter(([, value]) => value !== "")];
    if (event.end !== undefined) pairs.splice(1, 0, ["for", view.length(event.end - event.at)]);
    return [`${this.name}: ${event.heading}`, pairs];
  }
}

class LanesPanel {
  constructor(data, bands) {
    this.data = data;
    this.bands = bands;
    this.rows = [];
    let y = 4;
    const add = (name, height, events) => {
      const row = new EventRow(name, y, height, events);
      this.rows.push(row);
      y += height + 4;
      return row;
    };
    if (data.phases.length) {
      this.phases = add("phase", 18, data.phases.map(([at, end, name, ok, detail]) => (
        { at, end, heading: name, pairs: [["went well", ok ? "yes" : "no"], ["detail", detail]] })));
    }
    this.faults = data.faults.slice(0, 60).map((fault) => [fault, add(fault.name, 16, [
      ...fault.steps.map(([at, step, evidence]) => ({ at, heading: step, pairs: [["evidence", evidence], ["fault", fault.about]] })),
      ...fault.segments.filter(([, , state]) => state === "effect").map(([at, end]) => ({ at, end, heading: "in effect", pairs: [["fault", fault.about]] })),
    ])]);
    if (data.budget.length) {
      this.budget = add("bad replicas", 16, data.budget.map(([at, end, bad, over, why]) => (
        { at, end, heading: bad || "none", pairs: [["liveness demanded", over ? `no: ${over}` : "yes"], ["why", why]] })));
    }
    this.height = this.rows.length ? y + 2 : 0;
  }

  draw(brush) {
    const { theme, view } = brush;
    brush.grid();
    if (this.phases) {
      const { y, height } = this.phases;
      brush.label("phases", y + height / 2, theme.muted);
      this.data.phases.forEach(([at, end, name, ok], i) => {
        const [x, width] = brush.cut(at, end, 1);
        if (width <= 0) return;
        brush.rect(x, y, width, height, ok ? (i % 2 ? theme.tintA : theme.tintB) : theme.fail);
        brush.text(name, x + 4, y + height / 2 + 0.5, width - 6, ok ? theme.ink : theme.bg);
      });
    }
    for (const [fault, { y, height }] of this.faults) {
      brush.label(fault.name, y + height / 2);
      for (const [at, end, state] of fault.segments) {
        if (state === "effect") brush.span(at, end, y + 2, height - 4, theme.fail, 2);
        else brush.hatch(at, end, y + 2, height - 4, theme.fail);
      }
      for (const [at, step] of fault.steps) {
        const x = view.x(at);
        if (x < view.gutter) continue;
        if (step === "no-effect" || step === "undo-failed") brush.cross(x, y + height / 2, 4, theme.ink);
      }
    }
    if (this.budget) {
      const { y, height } = this.budget;
      brush.label("bad replicas", y + height / 2, theme.muted);
      for (const [at, end, bad, over] of this.data.budget) {
        const [x, width] = brush.cut(at, end, 1);
        if (width <= 0) continue;
        brush.rect(x, y + 1, width, height - 2, over ? theme.infoFill : theme.tintB);
        const words = !over ? bad : bad ? `${bad} (${over})` : over;
        brush.text(words, x + 3, y + height / 2 + 0.5, width - 5, over ? "#1a1f26" : theme.ink);
      }
    }
  }
}

class ReplicaPanel {
  constructor(replicas) {
    this.lane = replicas.length <= 7 ? 48 : replicas.length <= 16 ? 30 : 20;
    this.replicas = replicas.map((replica) => ({ ...replica, at: sums(replica.at), seq: sums(replica.seq), restart: new Set(replica.restart) }));
    this.height = replicas.length ? this.replicas.length * this.lane + 8 : 0;
    // One replica that lies about its numbers must not flatten the others: the second largest sets the scale.
    const tops = this.replicas.map((replica) => replica.seq.reduce((a, b) => Math.max(a, b), 0)).sort((a, b) => b - a);
    this.top = Math.max(1, (tops.length > 1 ? tops[1] : tops[0] ?? 1) * 1.05);
    this.rows = this.replicas.map((replica, i) => new EventRow(replica.name, 4 + i * this.lane, this.lane - 4, [
      ...replica.marks.map(([at, kind, text]) => ({ at, heading: kind, pairs: [["", text]] })),
      ...replica.silences.map(([at, end, text]) => ({ at, end, heading: "silent: no vote, its log was lost", pairs: [["", text]] })),
      ...replica.downs.map(([at, end, text]) => ({ at, end, heading: "down", pairs: [["", text]] })),
    ]));
    this.rows.forEach((row, i) => { row.extra = (tick) => this.stateAt(this.replicas[i], tick); });
  }

  stateAt(replica, tick) {
    const done = firstAtLeast(replica.at, tick + 1) - 1;
    let step = null;
    for (const entry of replica.views) if (entry[0] <= tick) step = entry;
    const pairs = [];
    if (step) pairs.push(["view", step[2] ? String(step[1]) : `${step[1]} (asked for, not entered)`]);
    if (done >= 0) pairs.push(["executed", replica.seq[done].toLocaleString("en")]);
    return pairs;
  }

  draw(brush) {
    brush.grid();
    this.replicas.forEach((replica, i) => this.drawLane(brush, replica, 4 + i * this.lane, this.lane - 4));
  }

  drawLane(brush, replica, y, height) {
    const { theme, view } = brush;
    brush.label(replica.name, y + height / 2);
    replica.views.forEach(([at, number, active], i) => {
      const end = i + 1 < replica.views.length ? replica.views[i + 1][0] : view.end;
      if (!brush.visible(at, end)) return;
      const [x, width] = brush.cut(at, end, active ? 1 : 2);
      if (width <= 0) return;
      if (active) brush.rect(x, y, width, height, number % 2 ? theme.tintB : theme.tintA);
      else brush.hatch(at, end, y, height, theme.viewFill);
      const news = i === 0 || replica.views[i - 1][1] !== number || !replica.views[i - 1][2] || at < view.from;
      if (height >= 26 && active && news) brush.whole([`view ${number}`, String(number)], x + 4, y + 9, width - 6, theme.muted);
    });
    for (const [at, end] of replica.silences) brush.hatch(at, end, y, height, theme.down);
    for (const [at, end] of replica.downs) {
      brush.span(at, end, y, height, theme.down, 2);
    }
    this.drawExecuted(brush, replica, y, height);
    let stable = -Infinity;
    for (const [at, kind] of replica.marks) {
      const x = view.x(at);
      if (kind === "stable" && x < stable + 9) continue;
      if (kind === "stable") stable = x;
      if (x < view.gutter || x > view.width) continue;
      if (kind === "stable") brush.diamond(x, this.level(this.executedAt(replica, at), y, height), 3.5, theme.good);
      else if (kind === "alarm" || kind === "crash") brush.cross(x, y + height / 2, 6, theme.fail, 3);
      else if (kind === "exit") brush.cross(x, y + height / 2, 4, theme.ink);
      else if (kind === "started") brush.triangle(x, y + height - 6, 4, theme.ink);
      else if (kind === "rejected") brush.rect(x - 0.5, y, 1, 5, theme.fail);
      else if (kind === "state-transfer") brush.rect(x - 2, y + height / 2 - 2, 5, 5, theme.good);
      else if (kind === "view-change") brush.rect(x - 1, y, 2, height, theme.view);
    }
  }

  executedAt(replica, tick) { return replica.seq[Math.max(0, firstAtLeast(replica.at, tick + 1) - 1)] ?? 0; }

  level(seq, y, height) { return y + height - 4 - Math.min(1, Math.max(0, seq / this.top)) * (height - 9); }

  drawExecuted(brush, replica, y, height) {
    const { c, view, theme } = brush, { at, seq, restart } = replica;
    if (!at.length) return;
    const level = (n) => this.level(n, y, height);
    c.save();
    c.beginPath();
    c.rect(view.gutter, y, view.inner, height);
    c.clip();
    c.strokeStyle = theme.ink;
    c.lineWidth = 1.4;
    c.beginPath();
    const first = Math.max(0, firstAtLeast(at, view.from) - 2), last = Math.min(at.length - 1, firstAtLeast(at, view.to) + 1);
    let column = -1;
    for (let i = first; i <= last; i++) {
      const x = view.x(at[i]);
      if (i === first || restart.has(i)) { c.moveTo(x, level(seq[i])); continue; }
      if (Math.floor(x) === column && i < last && !restart.has(i + 1)) continue;
      column = Math.floor(x);
      c.lineTo(x, level(seq[i - 1]));
      c.lineTo(x, level(seq[i]));
    }
    c.stroke();
    c.restore();
  }
}
