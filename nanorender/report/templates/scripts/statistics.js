// Size statistics of the particles that are kept, with the definitions of nanorender/statistics.
// Intervals are percentile intervals of the bootstrap as there, with random numbers of their own.

const RESAMPLES_AT_LEAST = 200;
const DRAWS_AT_MOST = 4e7; // of a bootstrap; with more particles, there are fewer resamples
const SLICE_MS = 40; // after which the bootstrap lets the page react

// Random integers from 0 to below count: xorshift128 (Marsaglia, J. Stat. Softw. 8 (2003) 14), from
// a fixed state, so that the same choice gives the same intervals.
function randomIntegers() {
  let x = 123456789, y = 362436069, z = 521288629, w = 88675123;
  return (count) => {
    const t = x ^ (x << 11);
    x = y; y = z; z = w;
    w = (w ^ (w >>> 19) ^ t ^ (t >>> 8)) >>> 0;
    return Math.floor((w / 4294967296) * count);
  };
}

// Collect the particles that are kept, in ascending order of size. Particles of weight 0 are left
// out because the frame cuts them.
function makeSample(study, isStruck) {
  const { particles } = study;
  const kept = [];
  for (let index = 0; index < particles.size.length; index++) {
    if (!isStruck(index)) kept.push(index);
  }
  const counted = kept.filter((index) => particles.weight[index] > 0);
  counted.sort((one, other) => particles.size[one] - particles.size[other]);
  const pick = (values) => Float64Array.from(counted, (index) => values[index]);
  const number = pick(particles.weight);
  const sizes = pick(particles.size);
  return {
    kept,
    sizes,
    logs: sizes.map(Math.log),
    number,
    weights: particles.volume ? pick(particles.volume).map((volume, index) => volume * number[index]) : number,
    images: Int32Array.from(counted, (index) => particles.image[index]),
    shares: Object.fromEntries(Object.entries(particles.shares).map(([name, values]) => [name, pick(values)])),
  };
}

// Statistics of ascending sizes with weights: quantiles are the smallest size at which the
// cumulative weight reaches the share.
function sizeStatistics(sizes, logs, weights) {
  const count = sizes.length;
  let total = 0, first = 0, firstLog = 0;
  for (let i = 0; i < count; i++) {
    total += weights[i];
    first += weights[i] * sizes[i];
    firstLog += weights[i] * logs[i];
  }
  const mean = first / total, meanLog = firstLog / total;
  const targets = [0.1, 0.5, 0.9].map((share) => share * total * (1 - 1e-12));
  const quantiles = [];
  let cumulative = 0, second = 0, secondLog = 0;
  for (let i = 0; i < count; i++) {
    cumulative += weights[i];
    while (quantiles.length < 3 && cumulative >= targets[quantiles.length]) quantiles.push(sizes[i]);
    second += weights[i] * (sizes[i] - mean) ** 2;
    secondLog += weights[i] * (logs[i] - meanLog) ** 2;
  }
  const [d10, d50, d90] = quantiles;
  const correction = count / Math.max(count - 1, 1);
  return {
    d10, d50, d90, mean,
    standard_deviation: Math.sqrt((second / total) * correction),
    geometric_standard_deviation: Math.exp(Math.sqrt((secondLog / total) * correction)),
    span: (d90 - d10) / d50,
  };
}

// Share by number of the sizes below a limit.
function shareBelow(sizes, weights, limit) {
  let below = 0, total = 0;
  for (let i = 0; i < sizes.length; i++) {
    total += weights[i];
    if (sizes[i] < limit) below += weights[i];
  }
  return below / total;
}

// Sum per area of all images.
function perArea(study, indices, amounts) {
  const held = new Float64Array(study.images.length);
  for (const index of indices) held[study.particles.image[index]] += amounts[index];
  const area = study.images.reduce((sum, image) => sum + image.area, 0);
  return { held, value: held.reduce((sum, each) => sum + each, 0) / area };
}

// All statistics of a sample without intervals.
function evaluate(study, sample) {
  const { particles } = study;
  const values = sample.sizes.length ? sizeStatistics(sample.sizes, sample.logs, sample.weights) : {};
  values.number_density = perArea(study, sample.kept, particles.weight).value;
  values.coverage = perArea(study, sample.kept, particles.area).value;
  for (const [name, sizes] of Object.entries(sample.shares)) {
    values[name] = shareBelow(sizes, sample.number, study.limit);
  }
  return values;
}

// Draw the weights of a resample, of particles or of whole images with their particles.
function drawWeights(study, sample, random, counts) {
  const drawn = study.resampled === "images" ? new Float64Array(study.images.length) : counts;
  drawn.fill(0);
  for (let i = 0; i < drawn.length; i++) drawn[random(drawn.length)] += 1;
  if (drawn !== counts) {
    for (let i = 0; i < counts.length; i++) counts[i] = drawn[sample.images[i]];
  }
  return drawn;
}

// Quantile of values, interpolated linearly.
function quantileOf(sorted, share) {
  const place = share * (sorted.length - 1);
  const low = Math.floor(place), high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
}

function percentileInterval(values, confidence) {
  const sorted = Float64Array.from(values).sort();
  return { low: quantileOf(sorted, (1 - confidence) / 2), high: quantileOf(sorted, (1 + confidence) / 2) };
}

// Score interval of a proportion (Wilson, J. Am. Stat. Assoc. 22 (1927) 209).
function wilsonInterval(share, count, z) {
  const scale = 1 + z ** 2 / count;
  const center = (share + z ** 2 / (2 * count)) / scale;
  const half = (z / scale) * Math.sqrt((share * (1 - share)) / count + (z / (2 * count)) ** 2);
  return { low: Math.max(center - half, 0), high: Math.min(center + half, 1) };
}

// Interval of the mean of a Poisson distribution (Garwood, Biometrika 28 (1936) 437), by the
// approximation of chi-squared quantiles of Wilson and Hilferty (Proc. Natl. Acad. Sci. 17 (1931)
// 684), within 0.3 % from 10 on; unknown for fewer.
function poissonInterval(count, z) {
  if (count < 10) return { low: NaN, high: NaN };
  const half = (mean, sign) => mean * (1 - 1 / (9 * mean) + sign * z / (3 * Math.sqrt(mean))) ** 3;
  return { low: half(count, -1), high: half(count + 1, 1) };
}

// Add a relative uncertainty to an interval, in quadrature on either side.
function widen({ value, low, high }, relative, z) {
  const half = z * relative * value;
  return { value, low: Math.max(value - Math.hypot(value - low, half), 0), high: value + Math.hypot(high - value, half) };
}

// The same for a share below a limit, which changes as all sizes do.
function widenShare(study, sample, name, { value, low, high }) {
  const half = study.coverageFactor * study.pixelSizeUncertainty;
  if (!half) return { value, low, high };
  const at = (factor) => shareBelow(sample.shares[name], sample.number, study.limit / factor);
  return {
    value,
    low: Math.max(value - Math.hypot(value - low, value - at(1 + half)), 0),
    high: Math.min(value + Math.hypot(high - value, at(1 - half) - value), 1),
  };
}

const LENGTHS = ["d10", "d50", "d90", "mean", "standard_deviation"];
const RATIOS = ["geometric_standard_deviation", "span"];

// Compute the intervals of a sample, in slices. `isCurrent` tells whether they are still wanted;
// the promise gives null if they are not.
async function bootstrap(study, sample, values, isCurrent) {
  const { particles, confidence, coverageFactor: z, pixelSizeUncertainty: relative } = study;
  const ofImages = study.resampled === "images";
  const random = randomIntegers();
  const count = sample.sizes.length;
  const estimates = {};
  if (!count) return estimates;

  // Draw the resamples.
  const resamples = Math.min(study.resamples, Math.max(RESAMPLES_AT_LEAST, Math.floor(DRAWS_AT_MOST / count)));
  const drawnValues = {};
  const add = (name, value) => (drawnValues[name] ??= []).push(value);
  const density = perArea(study, sample.kept, particles.weight);
  const coverage = perArea(study, sample.kept, particles.area);
  const counts = new Float64Array(count), weights = new Float64Array(count);
  let started = performance.now();
  for (let row = 0; row < resamples; row++) {
    const drawn = drawWeights(study, sample, random, counts);
    let any = false;
    for (let i = 0; i < count; i++) {
      weights[i] = counts[i] * sample.weights[i];
      any ||= counts[i] > 0;
    }
    if (any) {
      for (const [name, value] of Object.entries(sizeStatistics(sample.sizes, sample.logs, weights))) add(name, value);
    }
    if (ofImages) {
      const area = drawn.reduce((sum, times, image) => sum + times * study.images[image].area, 0);
      const ratio = (held) => drawn.reduce((sum, times, image) => sum + times * held[image], 0) / area;
      add("number_density", ratio(density.held));
      add("coverage", ratio(coverage.held));
      if (any) {
        const number = sample.number.map((weight, index) => weight * counts[index]);
        for (const [name, sizes] of Object.entries(sample.shares)) add(name, shareBelow(sizes, number, study.limit));
      }
    }
    if (performance.now() - started > SLICE_MS) {
      await new Promise((resume) => setTimeout(resume));
      if (!isCurrent()) return null;
      started = performance.now();
    }
  }

  // Find the intervals.
  for (const [name, drawn] of Object.entries(drawnValues)) {
    estimates[name] = { value: values[name], ...percentileInterval(drawn, confidence) };
  }
  if (!ofImages) {
    const sum = (items) => items.reduce((total, each) => total + each, 0);
    const effective = (amounts) => sum(amounts) ** 2 / sum(amounts.map((each) => each ** 2));
    for (const name of Object.keys(sample.shares)) {
      estimates[name] = { value: values[name], ...wilsonInterval(values[name], effective(sample.number), z) };
    }
    for (const [name, amounts] of [["number_density", particles.weight], ["coverage", particles.area]]) {
      const number = effective(sample.kept.map((index) => amounts[index]));
      const { low, high } = poissonInterval(number, z);
      estimates[name] = { value: values[name], low: (values[name] * low) / number, high: (values[name] * high) / number };
    }
  }

  // Add the uncertainty of the pixel size.
  if (relative) {
    for (const name of LENGTHS) estimates[name] = widen(estimates[name], relative, z);
    estimates.number_density = widen(estimates.number_density, 2 * relative, z);
    for (const name of Object.keys(sample.shares)) estimates[name] = widenShare(study, sample, name, estimates[name]);
  }
  return estimates;
}

// Compare the interval of a share with the decisive share.
function verdictOf({ low, high }, decisive) {
  if (low >= decisive) return "above";
  return high < decisive ? "below" : "undecided";
}
