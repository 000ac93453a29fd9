// Events of the page.

function on(id, type, react) {
  document.getElementById(id)?.addEventListener(type, react);
}

const pictures = [...document.querySelectorAll(".picture")];

// Numbers of legible size, on the screen and on paper, where a picture is at most 180 mm wide and
// 105 mm high.
const PAPER_PX = { width: 680, height: 397 };
function fitAll() {
  pictures.filter((svg) => svg !== zoom.svg).forEach((svg) => fitNumbers(svg));
}
new ResizeObserver(() => {
  fitAll();
  if (zoom.svg) zoom.show(zoom.view.x, zoom.view.y, zoom.view.scale);
}).observe(document.documentElement);
window.addEventListener("beforeprint", () => {
  zoom.close();
  zoom.restore();
  for (const svg of pictures) {
    const [, , width, height] = viewBoxOf(svg);
    fitNumbers(svg, Math.min(PAPER_PX.width, (PAPER_PX.height * width) / height));
  }
});
window.addEventListener("afterprint", () => {
  document.body.classList.remove("print-table");
  fitAll();
});
on("print-table", "click", () => {
  document.body.classList.add("print-table");
  window.print();
});

// Pictures: an outline selects its particle, anything else enlarges the picture.
for (const svg of pictures) {
  svg.addEventListener("click", (event) => {
    if (zoom.dragged) return;
    if (event.target.matches(".outlines path")) {
      select(event.target.id);
      revealRow(event.target.id);
    } else if (zoom.svg !== svg) {
      zoom.open(svg, ...imagePoint(svg, event));
    }
  });
}
document.querySelectorAll("button.enlarge").forEach((button) => button.addEventListener("click", () => {
  const svg = button.closest("figure").querySelector(".picture");
  const [, , width, height] = viewBoxOf(svg);
  zoom.open(svg, width / 2, height / 2);
}));

// The enlarged picture.
zoom.dialog.addEventListener("close", () => zoom.restore());
on("zoom-close", "click", () => zoom.close());
on("zoom-in", "click", () => zoom.by(ZOOM_STEP));
on("zoom-out", "click", () => zoom.by(1 / ZOOM_STEP));
on("zoom-full", "click", () => zoom.by(zoom.view.scale));
on("zoom-fit", "click", () => zoom.show(0, 0, zoom.fitting));
on("zoom-outlines", "click", () => document.getElementById("show-outlines").click());
zoom.place.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom.by(1.0015 ** -event.deltaY, event.clientX, event.clientY);
}, { passive: false });
zoom.place.addEventListener("pointerdown", (event) => {
  zoom.dragged = false;
  const { clientX: x, clientY: y } = event;
  zoom.pointers.set(event.pointerId, { x, y, startX: x, startY: y });
});
window.addEventListener("pointermove", (event) => {
  if (zoom.svg) zoom.follow(event);
});
for (const type of ["pointerup", "pointercancel"]) {
  window.addEventListener(type, (event) => {
    zoom.pointers.delete(event.pointerId);
    zoom.svg?.classList.remove("moving");
    // The click that follows a drag selects nothing.
    setTimeout(() => { zoom.dragged = false; });
  });
}

// The selected particle and the choice.
on("bar-close", "click", deselect);
on("bar-strike", "click", () => strike(selected, !struck.has(indexOf.get(selected))));
on("bar-image", "click", () => {
  const [x, y, width, height] = boxOf(selected);
  const svg = document.getElementById(selected).closest("svg");
  if (zoom.svg !== svg) zoom.open(svg, x + width / 2, y + height / 2);
  zoom.center(x + width / 2, y + height / 2, Math.max(width, height) * 4 / zoom.box.width);
});
on("bar-row", "click", () => {
  zoom.close();
  zoom.restore();
  revealRow(selected);
  rowOf.get(selected).closest(".explorer").scrollIntoView({ block: "center" });
  rowOf.get(selected).querySelector("a").focus({ preventScroll: true });
});
on("choice-reset", "click", () => {
  for (const [id, index] of indexOf) {
    if (struck.has(index) !== initiallyStruck.has(index)) strike(id, initiallyStruck.has(index));
  }
});
let exported = ""; // the choice as it was exported last
on("choice-export", "click", () => {
  exported = choiceText();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([exported], { type: "application/json" }));
  link.download = "choice.json";
  link.click();
  URL.revokeObjectURL(link.href);
});
window.addEventListener("beforeunload", (event) => {
  if (changeCount() && choiceText() !== exported) event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input:not([type=checkbox]), textarea");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key.toLowerCase() === "x" && selected) strike(selected, !struck.has(indexOf.get(selected)));
  if (!zoom.svg) return;
  if (event.key === "+" || event.key === "=") zoom.by(ZOOM_STEP);
  if (event.key === "-") zoom.by(1 / ZOOM_STEP);
  if (event.key === "0") zoom.show(0, 0, zoom.fitting);
  const direction = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (direction) {
    event.preventDefault();
    zoom.move(80 * direction[0], 80 * direction[1]);
  }
});

// The table: sort by a column, select and strike out rows.
function valueOf(row, column) {
  const cell = row.cells[column];
  const box = cell.querySelector("input");
  if (box) return Number(box.checked);
  const text = cell.textContent, number = Number(text);
  return text !== "" && Number.isFinite(number) ? number : text;
}

function compareValues(one, other, direction) {
  if (one === other) return 0;
  if (one === "" || other === "") return one === "" ? 1 : -1; // unknown values come last
  return direction * (typeof one === "number" && typeof other === "number" ? one - other
    : String(one).localeCompare(String(other), "en", { numeric: true }));
}

if (table) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.addEventListener("click", () => {
    const descending = heading.getAttribute("aria-sort") === "ascending";
    headings.forEach((other) => other.setAttribute("aria-sort", "none"));
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
    rows.sort((one, other) => compareValues(one[0], other[0], descending ? -1 : 1));
    body.append(...rows.map(([, row]) => row));
  }));
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (!row || event.target.matches("input")) return;
    event.preventDefault();
    select(row.dataset.particle);
  });
  body.addEventListener("change", (event) => {
    const id = event.target.closest("tr").dataset.particle;
    select(id);
    strike(id, !event.target.checked);
  });
  body.addEventListener("keydown", (event) => {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const row = step && event.target.closest("tr")[step];
    if (!row) return;
    event.preventDefault();
    row.querySelector("a").focus();
    select(row.dataset.particle);
  });
}
fitAll();
