// Particles: the one that is selected, and those that are struck out.

const table = document.getElementById("particles");
const viewer = document.getElementById("viewer");
const rowOf = new Map(table ? [...table.tBodies[0].rows].map((row) => [row.dataset.particle, row]) : []);
const idOf = study.particles.label.map((label, index) => `i${study.particles.image[index]}-p${label}`);
const indexOf = new Map(idOf.map((id, index) => [id, index]));
const struck = new Set(); // indices of the particles struck out
study.struckOut.forEach((labels, image) => labels.forEach((label) => struck.add(indexOf.get(`i${image}-p${label}`))));
const initiallyStruck = new Set(struck);
let selected = null; // identifier of the outline

function changeCount() {
  return idOf.reduce((sum, _, index) => sum + (struck.has(index) !== initiallyStruck.has(index)), 0);
}

// Copy an outline to mark the selected particle.
function markOf(id) {
  const mark = document.getElementById(id).cloneNode();
  mark.removeAttribute("id");
  mark.setAttribute("class", "mark");
  return mark;
}

function boxOf(id) {
  return document.getElementById(id).dataset.box.split(" ").map(Number);
}

// Select a particle: mark it in the table and in the picture, and show it in the viewer.
function select(id) {
  deselect();
  selected = id;
  const index = indexOf.get(id);
  const row = rowOf.get(id);
  row?.setAttribute("aria-selected", "true");
  document.getElementById(id).closest("svg").querySelector(".outlines").after(markOf(id));
  showInViewer(id, study.particles.image[index]);
  document.getElementById("bar-particle").hidden = false;
  document.getElementById("bar-row").hidden = !row;
  document.getElementById("bar-strike").hidden = !study.isComplete;
  describe();
}

function deselect() {
  if (selected) rowOf.get(selected)?.setAttribute("aria-selected", "false");
  document.querySelectorAll("path.mark").forEach((mark) => mark.remove());
  selected = null;
  document.getElementById("bar-particle").hidden = true;
}

// Show the surroundings of a particle, with a scale bar.
function showInViewer(id, image) {
  if (!viewer) return;
  const [x, y, width, height] = boxOf(id);
  const side = 2 * Math.max(width, height, 12);
  const left = x + (width - side) / 2, top = y + (height - side) / 2;
  viewer.setAttribute("viewBox", [left, top, side, side].join(" "));
  const overlay = document.createElementNS(SVG, "use");
  overlay.setAttribute("href", `#i${image}-overlay`);
  const bar = scaleBar(side, study.images[image].pixelSize);
  const scale = document.createElementNS(SVG, "g");
  scale.setAttribute("class", "scale");
  scale.setAttribute("font-size", side / 16);
  const unit = side / 16;
  const part = (name, attributes) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    scale.append(element);
    return element;
  };
  const bottom = top + side;
  part("rect", { class: "ground", x: left + unit * 0.4, y: bottom - unit * 2.4, width: bar.length + unit * 1.2, height: unit * 2 });
  part("rect", { class: "bar", x: left + unit, y: bottom - unit * 0.95, width: bar.length, height: unit * 0.25 });
  part("text", { x: left + unit + bar.length / 2, y: bottom - unit * 1.25 }).textContent = bar.text;
  viewer.replaceChildren(overlay, markOf(id), scale);
}

// Say in words what is selected.
function describe() {
  if (!selected) return;
  const index = indexOf.get(selected);
  const { image, label, size } = study.particles;
  const isStruck = struck.has(index);
  const text = `Particle ${label[index]} of ${study.images[image[index]].name}: ${formatNumber(size[index])} ${study.unit}`
    + (isStruck ? ", struck out" : "");
  document.getElementById("bar-text").textContent = text;
  document.getElementById("bar-strike").textContent = isStruck ? "Restore" : "Strike out";
  const caption = document.getElementById("viewer-caption");
  if (caption) caption.textContent = `${text}.`;
}

// Scroll the table, but not the page, to a row.
function revealRow(id) {
  const row = rowOf.get(id);
  if (!row) return;
  const scroll = row.closest(".scroll");
  scroll.scrollTop = row.offsetTop - scroll.clientHeight / 2;
}

// Strike out or restore a particle, unless the page lacks others from which the sizes follow.
function strike(id, isStruck) {
  if (!study.isComplete) return;
  const index = indexOf.get(id);
  if (isStruck) struck.add(index);
  else struck.delete(index);
  const outline = document.getElementById(id);
  outline.classList.toggle("struck", isStruck);
  numberOf(outline)?.classList.toggle("struck", isStruck);
  const row = rowOf.get(id);
  if (row) {
    row.classList.toggle("struck", isStruck);
    row.querySelector("input").checked = !isStruck;
  }
  describe();
  update();
}

// Number of an outline: outlines and numbers are in the same order.
function numberOf(outline) {
  const place = [...outline.parentElement.children].filter((each) => each.id).indexOf(outline);
  return outline.closest("svg").querySelector(".numbers")?.children[place];
}

// The choice as a file for `nanorender measure --choice` and `nanorender report --choice`.
function choiceText() {
  const images = study.images.map((image, number) => ({
    image: image.name,
    labels_sha256: image.labelsSha256,
    struck_out: [...struck].filter((index) => study.particles.image[index] === number)
      .map((index) => study.particles.label[index]).sort((one, other) => one - other),
  }));
  const choice = { format: study.format, images: images.filter((image) => image.struck_out.length) };
  return `${JSON.stringify(choice, null, 1)}\n`;
}

// Elements whose text depends on the particles that are counted, with the text of the report.
const live = [...document.querySelectorAll("[data-key]")].map((element) => ({
  element, key: element.dataset.key, part: element.dataset.part, text: element.textContent,
}));
const areaFactor = study.unit === "nm" ? 1e6 : 1; // number density per square micrometer
const areaUnit = study.unit === "nm" ? "per µm²" : "per px²";

// Factor and unit in which a quantity is shown.
function shownIn(key) {
  if (key === "number_density") return [areaFactor, areaUnit];
  if (key === "coverage" || key in study.particles.shares) return [100, "%"];
  return [1, RATIOS.includes(key) ? "" : study.unit];
}

// Write values; estimates without an interval yet have NaN limits.
function write(sample, estimates, isComplete) {
  const counts = {
    particles: String(sample.sizes.length),
    struck_out: String(struck.size),
  };
  for (const { element, key, part } of live) {
    let text = "";
    if (key in counts) {
      if (part === "value") text = counts[key];
      if (part === "note" && struck.size) text = `${struck.size} struck out by hand`;
    } else if (estimates[key]) {
      const [factor, unit] = shownIn(key);
      const { value, low, high } = estimates[key];
      const shown = { value: value * factor, low: low * factor, high: high * factor };
      if (part === "value") text = formatValue(shown, unit);
      if (part === "interval") text = isComplete ? formatInterval(shown) : "…";
      if (part === "verdict") text = isComplete ? verdictOf(estimates[key], study.decisiveShare) : "…";
      element.dataset.raw = { value, interval: `${low} ${high}` }[part] ?? "";
    }
    if (element.textContent !== text) element.textContent = text;
  }
}

// Redraw the bars and percentiles of the histogram. Scales are read off the bars of the report:
// they lie between known sizes, and the height of one of them stands for a known weight.
const bars = study.classEdges.slice(1)
  .map((_, index) => document.querySelector(`#size_histogram-class-${index} path`))
  .map((path) => path && { path, numbers: path.getAttribute("d").match(/-?[\d.]+(?:e-?\d+)?/g).map(Number) });

function classWeights(sample) {
  const edges = study.classEdges;
  const held = new Float64Array(edges.length - 1);
  let total = 0;
  sample.sizes.forEach((size, i) => {
    total += sample.weights[i];
    const place = Math.floor((size - edges[0]) / (edges[1] - edges[0]));
    if (place >= 0 && place < held.length) held[place] += sample.weights[i];
  });
  return study.particles.volume ? held.map((each) => (100 * each) / (total || 1)) : held;
}

let scales = null; // pixels of the drawing per weight and per size, and where both are zero

function readScales() {
  const held = classWeights(makeSample(study, (index) => initiallyStruck.has(index)));
  const highest = held.indexOf(Math.max(...held));
  const first = bars[0], last = bars.at(-1);
  if (!(held[highest] > 0) || bars.some((bar) => !bar || bar.numbers.length < 8)) return null;
  const [, base, , , , top] = bars[highest].numbers;
  const edges = study.classEdges;
  const perSize = (last.numbers[2] - first.numbers[0]) / (edges.at(-1) - edges[0]);
  return { base, perWeight: (base - top) / held[highest], perSize };
}

function drawHistogram(sample, values) {
  scales ??= readScales();
  if (!scales) return;
  classWeights(sample).forEach((weight, index) => {
    const { path, numbers: [left, , right] } = bars[index];
    const top = scales.base - weight * scales.perWeight;
    path.setAttribute("d", `M ${left} ${scales.base} L ${right} ${scales.base} L ${right} ${top} L ${left} ${top} z`);
  });
  for (const name of ["d10", "d50", "d90"]) {
    const shift = Number.isFinite(values[name]) ? (values[name] - initialValues[name]) * scales.perSize : 0;
    for (const kind of ["line", "name"]) {
      document.getElementById(`size_histogram-${kind}-${name}`)?.setAttribute("transform", `translate(${shift} 0)`);
    }
  }
}

const initialValues = study.isComplete
  ? evaluate(study, makeSample(study, (index) => initiallyStruck.has(index))) : {};
let updates = 0;

// Compute everything that depends on the particles that are counted: values at once, intervals as
// soon as they are resampled. Without changes, the texts of the report return.
async function update() {
  const number = ++updates;
  const changes = changeCount();
  showChoice(changes);
  const sample = makeSample(study, (index) => struck.has(index));
  const values = evaluate(study, sample);
  drawHistogram(sample, values);
  if (!changes) {
    for (const { element, text } of live) {
      element.textContent = text;
      delete element.dataset.raw;
    }
    return;
  }
  const withoutIntervals = Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, { value, low: NaN, high: NaN }]));
  write(sample, withoutIntervals, false);
  const estimates = await bootstrap(study, sample, values, () => number === updates);
  if (estimates && number === updates) {
    write(sample, estimates, true);
    document.body.dataset.complete = number; // for tests
  }
}

// Say how many particles were struck out or restored here, and what does not follow.
function showChoice(changes) {
  document.body.classList.toggle("changed", changes > 0);
  delete document.body.dataset.complete;
  document.getElementById("bar-choice").hidden = !changes;
  const stale = document.getElementById("stale");
  stale.hidden = !changes;
  if (!changes) return;
  const particles = changes === 1 ? "1 particle" : `${changes} particles`;
  document.getElementById("choice-text").textContent =
    `${particles} struck out or restored on this page; ${struck.size} struck out in all. The sizes follow.`;
  stale.textContent = `The choice of ${particles} was changed on this page, and is lost with it unless it is exported. `
    + "Intervals are resampled in the browser. What is marked by † still belongs to the report as it was written: "
    + "write it again with 'nanorender report --choice choice.json'.";
}
