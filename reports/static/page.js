// What happens when the page opens: buttons that copy, details that open for printing, the time line.

function copies() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy), said = button.parentElement.querySelector(".said");
      try {
        await navigator.clipboard.writeText(source.textContent);
        said.textContent = "Copied.";
      } catch {
        getSelection().selectAllChildren(source);
        said.textContent = "Selected: press Ctrl+C.";
      }
    });
  }
}

function printing() {
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const each of closed) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of closed) each.open = false; });
}

async function openTimeline() {
  const island = document.getElementById("data");
  if (!island || typeof DecompressionStream === "undefined") return;
  const data = await readIsland(island);
  const root = document.getElementById("timeline");
  root.hidden = false;
  const timeline = new Timeline(root, document.getElementById("stage"), document.getElementById("details"), data);
  document.getElementById("overview").hidden = true;
  timeline.readAddress();
  addEventListener("hashchange", () => timeline.readAddress());
  const button = document.getElementById("to-counterexample");
  if (button && data.counterexample.length && timeline.operations.count) {
    button.parentElement.hidden = false;
    button.addEventListener("click", () => {
      timeline.showOperations(data.counterexample);
      document.getElementById("stage").scrollIntoView({ block: "start" });
      document.getElementById("stage").focus({ preventScroll: true });
    });
  }
  document.documentElement.dataset.ready = "yes";
}

copies();
printing();
openTimeline().catch((error) => {
  // The static overview stays; nothing else depends on the scripts.
  document.getElementById("timeline").hidden = true;
  document.getElementById("overview").hidden = false;
  document.documentElement.dataset.ready = "failed";
  console.error(error);
});
