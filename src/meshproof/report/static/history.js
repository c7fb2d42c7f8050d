(() => {
  "use strict";
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const drawn = [];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const number = (value) => {
    const size = Math.abs(value);
    if (size >= 1e6) return (value / 1e6).toLocaleString("en", { maximumFractionDigits: 1 }) + "M";
    const digits = size >= 100 || Number.isInteger(value) ? 0 : size >= 1 ? 2 : 4;
    return value.toLocaleString("en", { maximumFractionDigits: digits });
  };

  // A line before the first run after each change.
  function marks(u, chart) {
    const { ctx, bbox } = u;
    const dpr = devicePixelRatio;
    ctx.save();
    chart.marks.forEach((mark) => {
      const x = Math.round(u.valToPos(mark.at - 0.5, "x", true));
      ctx.strokeStyle = colour(mark.good ? "pass" : "fail");
      ctx.lineWidth = 1.5 * dpr;
      ctx.setLineDash([5 * dpr, 3 * dpr]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    });
    ctx.restore();
  }

  function draw(figure) {
    const chart = charts[Number(figure.dataset.chart)];
    const place = figure.querySelector(".plot");
    const told = figure.querySelector(".told");
    const last = chart.values.length - 1;
    const tell = (at) => { told.textContent = `${chart.when[at]} ${chart.commits[at]}: ${chart.shown[at]}`; };
    const common = () => ({
      stroke: () => colour("soft"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: () => colour("line"), width: 1 },
      ticks: { stroke: () => colour("line"), width: 1, size: 4 },
    });
    const plot = new uPlot({
      width: place.clientWidth || 600,
      height: place.clientHeight || 220,
      legend: { show: false },
      cursor: { points: { size: 7 }, drag: { x: true, y: false } },
      scales: {
        x: { time: false, range: () => [-0.5, last + 0.5] },
        y: { range: (u, low, high) => { const room = (high - low) * 0.15 || Math.abs(high) * 0.1 || 1; return [low - room, high + room]; } },
      },
      axes: [
        { ...common(), size: 28, incrs: [1, 2, 5, 10, 20, 50, 100], values: (u, splits) => splits.map((at) => (chart.when[at] ? chart.when[at].slice(5, 10) : "")) },
        { ...common(), size: 58, values: (u, splits) => splits.map(number) },
      ],
      series: [{}, { label: chart.name, stroke: () => colour("c0"), width: 1.6, points: { show: last < 80, size: 5, fill: () => colour("c0") } }],
      hooks: {
        draw: [(u) => marks(u, chart)],
        setCursor: [(u) => tell(u.cursor.left >= 0 && u.cursor.idx !== null ? u.cursor.idx : last)],
      },
    }, [chart.values.map((_, at) => at), chart.values], place);
    tell(last);
    drawn.push({ plot, place });
  }

  document.querySelectorAll("figure[data-chart]").forEach(draw);
  const first = document.querySelector(".charts");
  if (first) new ResizeObserver(() => requestAnimationFrame(() => drawn.forEach(({ plot, place }) => plot.setSize({ width: place.clientWidth, height: place.clientHeight })))).observe(first);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach(({ plot }) => plot.redraw(false, true)));
})();
