// Draws the charts of the report out of the data beside it. Everything else on the page is HTML already.
(() => {
  "use strict";
  const { charts, marks, bands } = JSON.parse(document.getElementById("timeline").textContent);
  const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 2], [12, 4], [1, 2]];
  const PRINT = { width: 318, height: 165 };
  const drawn = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const lineColour = (index) => colour("c" + (index % 7));

  const number = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    const digits = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
    return value.toLocaleString("en", { maximumFractionDigits: digits });
  };
  const short = (value) => (Math.abs(value) >= 10000 ? value / 1000 + "k" : number(value));
  const clock = (seconds) => {
    if (seconds < 120) return number(seconds) + " s";
    const rest = Math.round(seconds % 60);
    return Math.floor(seconds / 60) + ":" + String(rest).padStart(2, "0");
  };

  // Phases behind the lines, checkpoints and incidents in front of them.
  function background(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    bands.forEach((band) => {
      const left = u.valToPos(band.begin, "x", true);
      const right = u.valToPos(band.end, "x", true);
      if (!band.steady) {
        ctx.fillStyle = colour("band");
        ctx.fillRect(left, bbox.top, right - left, bbox.height);
      }
      ctx.fillStyle = colour("line");
      ctx.fillRect(left, bbox.top, devicePixelRatio, bbox.height);
    });
    ctx.restore();
  }

  // The name of a phase, on a patch of its own colour so that no line runs through it.
  function nameBand(u, band) {
    const { ctx, bbox } = u;
    const dpr = devicePixelRatio;
    const left = Math.max(u.valToPos(band.begin, "x", true), bbox.left);
    const right = Math.min(u.valToPos(band.end, "x", true), bbox.left + bbox.width);
    ctx.font = `${11 * dpr}px system-ui, sans-serif`;
    ctx.textBaseline = "top";
    ctx.textAlign = "left";
    const width = ctx.measureText(band.label).width;
    if (!band.label || width + 8 * dpr > right - left) return;
    ctx.fillStyle = colour(band.steady ? "card" : "band");
    ctx.fillRect(left + 2 * dpr, bbox.top + 1 * dpr, width + 4 * dpr, 14 * dpr);
    ctx.fillStyle = colour("soft");
    ctx.fillText(band.label, left + 4 * dpr, bbox.top + 3 * dpr);
  }

  function foreground(u) {
    const { ctx, bbox } = u;
    const dpr = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    bands.forEach((band) => nameBand(u, band));
    marks.forEach((mark) => {
      const x = Math.round(u.valToPos(mark.at, "x", true));
      ctx.strokeStyle = colour(mark.kind);
      ctx.lineWidth = (mark.kind === "incident" ? 1.5 : 1) * dpr;
      ctx.setLineDash(mark.kind === "incident" ? [5 * dpr, 3 * dpr] : [1.5 * dpr, 3 * dpr]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    });
    ctx.restore();
  }

  function axes(chart) {
    const common = () => ({
      stroke: () => colour("soft"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: () => colour("line"), width: 1 },
      ticks: { stroke: () => colour("line"), width: 1, size: 4 },
    });
    if (!chart.log) return [{ ...common(), size: 28, values: (u, splits) => splits.map(clock) }, { ...common(), size: 46, values: (u, splits) => splits.map(short) }];
    // Powers of ten alone, and 2 and 5 between them where the range is narrow.
    const wide = (u) => Math.log10(u.scales.y.max / u.scales.y.min) > 2.2;
    const leading = (value) => value / 10 ** Math.floor(Math.log10(value) + 1e-9);
    const kept = (u, splits) => splits.map((v) => (v > 0 && [1, ...(wide(u) ? [] : [2, 5])].some((n) => Math.abs(leading(v) - n) < 1e-6) ? v : null));
    const y = common();
    y.grid.filter = kept;
    y.ticks.filter = kept;
    return [
      { ...common(), size: 28, values: (u, splits) => splits.map(clock) },
      { ...y, size: 46, filter: kept, values: (u, splits) => splits.map((v) => (v === null ? null : short(v))) },
    ];
  }

  function options(chart, width, height) {
    return {
      width,
      height,
      legend: { show: false },
      cursor: { sync: { key: "run" }, points: { size: 6 }, drag: { x: true, y: false } },
      scales: {
        x: { time: false },
        y: chart.log ? { distr: 3 } : { range: (u, low, high) => [0, high > 0 ? high * 1.18 : 1] },
      },
      axes: axes(chart),
      series: [
        {},
        ...chart.lines.map((line, index) => ({
          label: line.label,
          stroke: () => lineColour(index),
          width: 1.6,
          dash: DASHES[index % DASHES.length],
          points: { show: chart.x.length < 3 },
          spanGaps: false,
        })),
      ],
      hooks: { drawClear: [background], draw: [foreground] },
    };
  }

  function legend(box, chart, plot) {
    const outputs = chart.lines.map((line, index) => {
      const button = document.createElement("button");
      const output = document.createElement("output");
      button.setAttribute("aria-pressed", "true");
      button.innerHTML = '<svg width="22" height="8" aria-hidden="true"><line x1="0" y1="4" x2="22" y2="4" stroke-width="2.5"/></svg>';
      const stroke = button.querySelector("line");
      stroke.style.stroke = `var(--c${index % 7})`;
      stroke.setAttribute("stroke-dasharray", DASHES[index % DASHES.length].join(" "));
      button.append(line.label, output);
      button.addEventListener("click", () => {
        const shown = button.getAttribute("aria-pressed") === "true";
        button.setAttribute("aria-pressed", String(!shown));
        plot.setSeries(index + 1, { show: !shown });
      });
      box.append(button);
      return output;
    });
    const peaks = chart.lines.map((line) => line.values.reduce((most, value) => (value !== null && (most === null || value > most) ? value : most), null));
    const show = (at) => outputs.forEach((output, index) => {
      output.textContent = at === null || at === undefined ? `max ${number(peaks[index])}` : number(chart.lines[index].values[at]);
    });
    show(null);
    return show;
  }

  function draw(figure) {
    const chart = charts[Number(figure.dataset.chart)];
    const place = figure.querySelector(".plot");
    const made = options(chart, place.clientWidth || 600, place.clientHeight || 220);
    let show = () => {};
    made.hooks.setCursor = [(u) => show(u.cursor.left >= 0 ? u.cursor.idx : null)];
    const plot = new uPlot(made, [chart.x, ...chart.lines.map((line) => line.values)], place);
    show = legend(figure.querySelector(".legend"), chart, plot);
    drawn.push({ plot, place });
  }

  const fit = () => drawn.forEach(({ plot, place }) => plot.setSize({ width: place.clientWidth, height: place.clientHeight }));
  const again = () => drawn.forEach(({ plot }) => plot.redraw(false, true));

  document.querySelectorAll("figure[data-chart]").forEach(draw);
  if (drawn.length) {
    new ResizeObserver(() => requestAnimationFrame(fit)).observe(document.querySelector(".charts"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    // Paper has its own width and its own colours, and everything that is folded must be seen on it.
    const opened = new Set();
    addEventListener("beforeprint", () => {
      document.querySelectorAll("details:not([open])").forEach((each) => { each.open = true; opened.add(each); });
      drawn.forEach(({ plot }) => plot.setSize(PRINT));
      again();
    });
    addEventListener("afterprint", () => { opened.forEach((each) => { each.open = false; }); opened.clear(); fit(); again(); });
  }
})();
