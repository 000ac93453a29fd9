"use strict";
// The study, as browserdata.py writes it.
const study = JSON.parse(document.getElementById("study-data").textContent);

// Numbers as text, as in nanorender/report/formatting.py.

// Four significant digits; nothing for unknown numbers.
function formatNumber(value) {
  if (!Number.isFinite(value)) return "";
  return Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(4).replace(/\.$/, "");
}

// Value and limits of an estimate, rounded to two digits of the half-width of the interval.
function roundEstimate({ value, low, high }) {
  const half = (high - low) / 2;
  if (!(Number.isFinite(half) && half > 0 && Number.isFinite(value))) {
    return [value, low, high].map(formatNumber);
  }
  const digits = 1 - Math.floor(Math.log10(half));
  const power = 10 ** -digits;
  return [value, low, high].map((each) =>
    digits >= 0 ? each.toFixed(Math.min(digits, 100)) : (Math.round(each / power) * power).toFixed(0));
}

function formatInterval(estimate) {
  const [, low, high] = roundEstimate(estimate);
  return low && high ? `${low} to ${high}` : "";
}

function formatValue(estimate, unit) {
  const [value] = roundEstimate(estimate);
  return value && `${value} ${unit}`.trim();
}
