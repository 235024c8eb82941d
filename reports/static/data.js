// The data island: base64 of gzip of JSON columns. Nothing here touches the page.

async function readIsland(element) {
  const text = atob(element.textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// Undo differences(): exact, because every sum stays below 2^53.
function sums(differences) {
  const values = new Float64Array(differences.length);
  let total = 0;
  for (let i = 0; i < differences.length; i++) values[i] = total += differences[i];
  return values;
}

// The first place whose value is not below `wanted`, among places of a rising array.
function firstAtLeast(values, wanted) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1; else high = middle;
  }
  return low;
}

const OK = 0, FAIL = 1, INFO = 2;
const TYPE_WORDS = ["ok", "fail", "info"];

// Columns of all operations, by invocation.
class Operations {
  constructor(columns) {
    this.call = sums(columns.call);
    this.took = Float64Array.from(columns.took);  // -1: never completed
    this.index = sums(columns.index);
    this.type = Uint8Array.from(columns.type);
    this.lane = Uint16Array.from(columns.lane);
    this.columns = columns;
    this.lanes = columns.lanes;
    this.count = this.call.length;
    this.byLane = this.lanes.map(() => []);
    for (let i = 0; i < this.count; i++) this.byLane[this.lane[i]].push(i);
    this.laneCalls = this.byLane.map((members) => Float64Array.from(members, (i) => this.call[i]));
    const done = [];
    for (let i = 0; i < this.count; i++) if (this.took[i] >= 0) done.push(i);
    const end = (i) => this.call[i] + this.took[i];
    done.sort((a, b) => end(a) - end(b) || a - b);
    this.completed = Uint32Array.from(done);
    this.completedAt = Float64Array.from(done, end);
    let least = Infinity, most = 1;
    for (const i of done) {
      const took = Math.max(1, this.took[i]);
      if (took < least) least = took;
      if (took > most) most = took;
    }
    this.least = Math.min(least, most);
    this.most = most;
    this.longest = most;
  }

  text(column, i) { return this.columns.texts[this.columns[column][i]]; }

  place(index) { return this.index.indexOf(index); }

  // What an operation was and what became of it, as [heading, [name, value]...].
  describe(i, view) {
    const type = TYPE_WORDS[this.type[i]], output = this.text("output", i), input = this.text("input", i);
    const key = this.text("key", i), note = this.text("note", i), seen = this.columns.view[i];
    const words = [this.text("f", i)];
    if (key) words.push(key);
    if (input !== "null") words.push(input);
    if (type === "ok") words.push(`→ ${output === "null" && input !== "null" ? "ok" : output}`);
    const pairs = [
      ["outcome", type],
      ["by", `${this.lanes[this.lane[i]]}, process ${this.text("process", i)}`],
      ["invoked", view.time(this.call[i])],
      ["took", this.took[i] < 0 ? "never completed" : view.length(this.took[i])],
    ];
    if (seen >= 0) pairs.push(["view", String(seen)]);
    if (note) pairs.push(["note", note]);
    pairs.push(["index", String(this.index[i])]);
    return [words.join(" "), pairs];
  }
}
