// Draws and resizes the figures, saves them, unfolds tables for printing.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("figures-data").textContent);
  const root = document.documentElement;

  // Vega-Lite does not fit panels to a container, and a narrow figure has no room for a legend at its side.
  function fitted(source, width) {
    const spec = structuredClone(source);
    const config = { font: getComputedStyle(document.body).fontFamily, legend: {}, axisY: { labelLimit: width < 560 ? 104 : 220 } };
    if (spec.facet) {
      const own = spec.resolve?.scale?.y === "independent";
      const columns = Math.max(1, Math.min(spec.columns, Math.floor(width / (own ? 230 : 165))));
      const between = own ? 58 : 20;
      spec.columns = columns;
      spec.spacing = own ? { column: 12, row: 26 } : { column: 16, row: 26 };
      spec.spec.width = Math.floor((width - 60 - (columns - 1) * between) / columns);
      config.legend.columns = Math.max(1, Math.floor(width / 150));
    } else if (width < 640) {
      config.legend = { orient: "bottom", columns: Math.max(1, Math.floor(width / 135)), labelLimit: 110 };
    }
    return [spec, config];
  }

  const options = (config, more) => ({
    mode: "vega-lite", renderer: "svg", actions: false, defaultStyle: false, config,
    tooltip: { theme: "page", disableDefaultStyle: true }, ...more,
  });
  const merged = (one, two) => {
    const both = structuredClone(one);
    for (const [name, values] of Object.entries(two)) both[name] = typeof values === "object" ? { ...both[name], ...values } : values;
    return both;
  };

  const views = new Map();
  async function draw(place) {
    const [spec, config] = fitted(data.figures[place.dataset.figure], place.clientWidth);
    views.get(place)?.finalize();
    views.set(place, await window.vegaEmbed(place, spec, options(merged(data.screen, config))));
    place.dataset.width = place.clientWidth;
  }
  const places = [...document.querySelectorAll(".plot")];
  async function drawAll() {
    for (const place of places) {
      if (Math.abs(place.clientWidth - Number(place.dataset.width ?? -99)) > 4) {
        await draw(place).catch((error) => { place.textContent = `This figure cannot be drawn: ${error.message}`; console.error(error); });
      }
    }
    root.dataset.drawn = String(window.innerWidth);
  }
  let timer = 0;
  window.addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(drawAll, 150); });

  async function save(figure, format) {
    const name = figure.id, hidden = document.createElement("div");
    const spec = structuredClone(data.figures[name]);
    spec.title = data.titles[name];
    if (spec.width === "container") spec.width = 640;
    const drawn = await window.vegaEmbed(hidden, spec, options(data.paper));
    const link = document.createElement("a");
    link.href = await drawn.view.toImageURL(format, 2);
    link.download = `${name}.${format}`;
    link.click();
    drawn.finalize();
  }
  for (const choice of document.querySelectorAll("[data-save]")) {
    choice.closest(".save").hidden = false;
    choice.addEventListener("click", () => save(choice.closest("figure"), choice.dataset.save));
  }

  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const details of opened) details.open = true;
  });
  window.addEventListener("afterprint", () => { for (const details of opened) details.open = false; });

  drawAll();
})();
