"use strict";
const { runs, groups } = JSON.parse(document.getElementById("data").textContent);
const state = { log: false, images: false, hidden: new Set() };
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// --- samples: one slider for all runs, each showing its newest grid up to the chosen step

const when = document.getElementById("when");
if (when) {
  const steps = [...new Set(runs.flatMap((run) => run.pictures.map((picture) => picture.step)))].sort((a, b) => a - b);
  const output = document.querySelector("output[for=when]");
  const figures = all(".pictures figure");
  document.querySelector(".pictures").classList.toggle("one", figures.length === 1);
  const show = () => {
    const step = steps[Number(when.value)];
    output.textContent = `step ${step.toLocaleString("en")}`;
    for (const figure of figures) {
      const pictures = runs[Number(figure.dataset.run)].pictures;
      const picture = pictures.filter((one) => one.step <= step).at(-1) ?? pictures[0];
      const image = figure.querySelector("img");
      image.src = picture.source;
      image.width = picture.width;
      image.height = picture.height;
      figure.querySelector("figcaption span:last-child").textContent = `step ${picture.step.toLocaleString("en")}`;
    }
  };
  when.max = String(steps.length - 1);
  when.value = when.max;
  when.addEventListener("input", show);
  show();

  let timer = 0;
  const play = document.getElementById("play");
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "\u25b6";
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (when.value === when.max) when.value = "0";
    show();
    play.textContent = "\u25a0";
    timer = setInterval(() => {
      when.value = String(Number(when.value) + 1);
      show();
      if (when.value === when.max) stop();
    }, 350);
  });
  when.addEventListener("pointerdown", stop);
}

// --- curves

const HEIGHT = 210;
const EDGE = { left: 52, right: 10, top: 8, bottom: 22 };
const COLORS = 8;
const DASHES = ["", "5 4", "2 3", "9 3 2 3"];

function linesOf(chart) {
  const single = runs.length === 1;
  const lines = [];
  runs.forEach((run, index) => {
    if (state.hidden.has(index)) return;
    chart.figures.forEach((figure, number) => {
      const series = run.series[figure];
      if (!series) return;
      const factor = state.images ? run.batch : 1;
      const points = series[0].map((step, at) => [step * factor, series[1][at]]).filter((point) => !state.log || point[1] > 0);
      if (!points.length) return;
      const short = figure.split("/").at(-1).replaceAll("_", " ");
      const order = single ? number : index;
      const round = Math.floor(order / COLORS); // the colours come again, with other dashes
      const dash = single ? round : number + round * chart.figures.length;
      const side = figure.startsWith("discriminator/") ? "D " : figure.startsWith("generator/") ? "G " : "";
      lines.push({
        points,
        figure: chart.figures.length > 1 ? side + short : short,
        run: run.name,
        color: `var(--run-${order % COLORS})`,
        dash: DASHES[dash % DASHES.length],
      });
    });
  });
  return lines;
}

function nice(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= rough);
  const ticks = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) ticks.push(value);
  return ticks;
}

function short(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  if (size !== 0 && size < 1e-3) return value.toExponential(0);
  return String(+value.toPrecision(4));
}

function scaleY(lines) {
  const values = lines.flatMap((line) => line.points.map((point) => point[1]));
  let low = values.reduce((a, b) => Math.min(a, b));
  let high = values.reduce((a, b) => Math.max(a, b));
  if (state.log) {
    let [from, to] = [Math.log10(low), Math.log10(high)];
    if (to - from < 0.1) [from, to] = [from - 0.1, to + 0.1];
    let ticks = nice(from, to, 4).filter(Number.isInteger).map((value) => 10 ** value);
    if (ticks.length < 2) ticks = nice(10 ** from, 10 ** to, 4).filter((value) => value > 0);
    return { at: (value) => (Math.log10(value) - from) / (to - from), ticks };
  }
  if (high === low) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) / 2, low + Math.abs(low) / 2];
  const room = (high - low) * 0.05;
  [low, high] = [low >= 0 && low < room * 6 ? 0 : low - room, high + room];
  return { at: (value) => (value - low) / (high - low), ticks: nice(low, high, 5) };
}

function draw(chart, box) {
  const lines = linesOf(chart);
  box.querySelector(".plot").replaceChildren();
  box.hidden = lines.length === 0;
  if (!lines.length) return;
  const width = Math.max(box.querySelector(".plot").clientWidth, 200);
  const inner = { width: width - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
  const last = Math.max(...lines.map((line) => line.points.at(-1)[0]), 1);
  const y = scaleY(lines);
  const px = (x) => EDGE.left + (inner.width * x) / last;
  const py = (value) => EDGE.top + inner.height * (1 - y.at(value));
  const marks = y.ticks
    .map((tick) => `<line class="mark" x1="${EDGE.left}" x2="${width - EDGE.right}" y1="${py(tick)}" y2="${py(tick)}"/>
      <text x="${EDGE.left - 8}" y="${py(tick) + 4}" text-anchor="end">${short(tick)}</text>`)
    .join("");
  const along = nice(0, last, width < 400 ? 3 : 5)
    .map((tick) => `<text x="${px(tick)}" y="${HEIGHT - 4}" text-anchor="middle">${short(tick)}</text>`)
    .join("");
  const paths = lines
    .map((line) => {
      const way = line.points.map((point, at) => `${at ? "L" : "M"}${px(point[0]).toFixed(1)} ${py(point[1]).toFixed(1)}`).join("");
      const dot = line.points.length === 1
        ? `<circle cx="${px(line.points[0][0])}" cy="${py(line.points[0][1])}" r="3" style="fill:${line.color}"/>` : "";
      return `<path d="${way}" style="stroke:${line.color}" stroke-dasharray="${line.dash}"/>${dot}`;
    })
    .join("");
  box.querySelector(".plot").innerHTML =
    `<svg viewBox="0 0 ${width} ${HEIGHT}" height="${HEIGHT}" role="img">${marks}${along}${paths}<line class="here" y1="${EDGE.top}" y2="${HEIGHT - EDGE.bottom}" stroke="var(--soft)" visibility="hidden"/></svg>`;
  const keys = box.querySelector(".keysofchart");
  const named = lines.length > 1 && (runs.length === 1 || chart.figures.length > 1);
  keys.replaceChildren(...(named ? keysFor(chart, lines) : []));
  follow(box, lines, (offset) => ((offset - EDGE.left) / inner.width) * last, px);
}

function keysFor(chart, lines) {
  const single = runs.length === 1;
  const isFirst = (line, at) => lines.findIndex((other) => other.figure === line.figure) === at;
  const shown = single ? lines : lines.filter(isFirst);
  return shown.map((line) => {
    const key = document.createElement("span");
    key.innerHTML = markOf(single ? line.color : "var(--soft)", line.dash);
    key.append(line.figure);
    return key;
  });
}

function markOf(color, dash) {
  return `<svg width="24" height="10"><line x2="24" y1="5" y2="5" style="stroke:${color}" stroke-dasharray="${dash}"/></svg>`;
}

function follow(box, lines, toX, px) {
  const svg = box.querySelector(".plot svg");
  const tip = box.querySelector(".tip");
  const here = svg.querySelector(".here");
  const leave = () => {
    tip.style.display = "none";
    here.setAttribute("visibility", "hidden");
  };
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("pointermove", (event) => {
    const bounds = svg.getBoundingClientRect();
    const wanted = toX(event.clientX - bounds.left);
    const near = lines.map((line) => line.points.reduce((a, b) => (Math.abs(b[0] - wanted) < Math.abs(a[0] - wanted) ? b : a)));
    const x = near.reduce((a, b) => (Math.abs(b[0] - wanted) < Math.abs(a[0] - wanted) ? b : a))[0];
    here.setAttribute("visibility", "visible");
    here.setAttribute("x1", px(x));
    here.setAttribute("x2", px(x));
    const rows = lines.map((line, at) => {
      const row = document.createElement("div");
      row.innerHTML = markOf(line.color, line.dash);
      row.append(`${runs.length > 1 ? `${line.run} ` : ""}${line.figure}: ${+near[at][1].toPrecision(5)}`);
      return row;
    });
    const title = document.createElement("div");
    title.textContent = `${state.images ? "images" : "step"} ${x.toLocaleString("en")}`;
    tip.replaceChildren(title, ...rows);
    tip.style.display = "block";
    const space = box.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(px(x) + 26, space))}px`;
    tip.style.top = "40px";
  });
}

const charts = document.getElementById("charts");
const boxes = [];
if (charts) {
  for (const group of groups) {
    const place = document.createElement("div");
    place.className = "group";
    place.innerHTML = "<h3></h3><div class='grid'></div>";
    place.querySelector("h3").textContent = group.title;
    for (const chart of group.charts) {
      const box = document.createElement("div");
      box.className = "chart";
      box.innerHTML = "<h4></h4><div class='plot'></div><div class='keysofchart'></div><div class='tip'></div>";
      box.querySelector("h4").textContent = chart.title.replaceAll("_", " ");
      place.querySelector(".grid").append(box);
      boxes.push([chart, box]);
    }
    charts.append(place);
  }
  const redraw = () => boxes.forEach(([chart, box]) => draw(chart, box));
  for (const one of all("[data-switch]")) {
    const buttons = all("button", one);
    buttons.forEach((button, index) =>
      button.addEventListener("click", () => {
        state[one.dataset.switch === "scale" ? "log" : "images"] = index === 1;
        buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
        redraw();
      }),
    );
  }
  for (const chip of all("[data-toggle]")) {
    chip.addEventListener("click", () => {
      const index = Number(chip.dataset.toggle);
      state.hidden.delete(index) || state.hidden.add(index);
      chip.setAttribute("aria-pressed", String(!state.hidden.has(index)));
      redraw();
    });
  }
  let width = 0;
  new ResizeObserver(() => {
    if (charts.clientWidth !== width) {
      width = charts.clientWidth;
      redraw();
    }
  }).observe(charts);
}

// --- light or dark, against what the system says

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
});

// --- served while a run goes on: looked at again, unless somebody is busy with the page

const refresh = Number(document.body.dataset.refresh);
if (refresh) {
  const REST = 30_000;
  let touched = -REST;
  for (const kind of ["pointerdown", "keydown", "input"]) {
    addEventListener(kind, () => (touched = performance.now()), { capture: true });
  }
  setInterval(() => {
    if (!document.hidden && performance.now() - touched >= REST) location.reload();
  }, refresh * 1000);
}
