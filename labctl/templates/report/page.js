"use strict";
(() => {
  for (const ladder of document.querySelectorAll(".ladder")) {
    ladder.addEventListener("keydown", (event) => {
      const messages = [...ladder.querySelectorAll(".message > summary")];
      const now = messages.indexOf(event.target);
      const goal = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: messages.length - 1 }[event.key];
      if (now < 0 || goal === undefined || !messages[goal]) return;
      messages[goal].focus();
      event.preventDefault();
    });
  }
})();
(() => {
  const chart = document.getElementById("chart");
  if (!chart) return;
  const inner = document.getElementById("inner");
  const details = document.getElementById("details");
  const data = JSON.parse(document.getElementById("data").textContent);
  let zoom = 1;

  const share = () => (chart.scrollLeft + chart.clientWidth / 2) / inner.scrollWidth;
  const setZoom = (wanted, middle = share()) => {
    zoom = Math.min(64, Math.max(1, wanted));
    inner.style.setProperty("--zoom", zoom);
    chart.scrollLeft = middle * inner.scrollWidth - chart.clientWidth / 2;
  };
  document.getElementById("in").addEventListener("click", () => setZoom(zoom * 2));
  document.getElementById("out").addEventListener("click", () => setZoom(zoom / 2));

  const toWrong = document.getElementById("to-wrong");
  const part = (data.wrong_s - data.begin_s) / Math.max(0.001, data.end_s - data.begin_s);
  const showWrong = () => {
    const name = parseFloat(getComputedStyle(inner).getPropertyValue("--name"));
    chart.scrollLeft = part * (inner.scrollWidth - name) - (chart.clientWidth - name) / 2;
  };
  if (toWrong) showWrong();
  if (toWrong) toWrong.addEventListener("click", () => {
    setZoom(Math.max(8, zoom), part);
    showWrong();
    details.textContent = `${data.wrong_s.toFixed(3)} s: ${data.wrong}`;
  });

  const allLanes = document.getElementById("all-lanes");
  const showStill = (shown) => {
    inner.classList.toggle("few", !shown);
    allLanes.setAttribute("aria-pressed", String(shown));
  };
  if (allLanes) {
    allLanes.hidden = false;
    showStill(false);
    allLanes.addEventListener("click", () => showStill(inner.classList.contains("few")));
  }

  document.getElementById("filter").addEventListener("input", (event) => {
    if (allLanes) showStill(true);
    const words = event.target.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    for (const lane of inner.querySelectorAll(".lane[data-name]")) {
      const name = lane.dataset.name.toLowerCase();
      lane.hidden = words.length > 0 && !words.some((word) => name.includes(word));
    }
  });

  const choose = (band) => {
    for (const other of inner.querySelectorAll(".chosen")) other.classList.remove("chosen");
    band.classList.add("chosen");
    details.textContent = `${band.closest(".lane").dataset.name}: ${band.getAttribute("aria-label")}`;
  };
  inner.addEventListener("click", (event) => {
    const band = event.target.closest(".band");
    if (band) { band.focus(); choose(band); }
  });
  inner.addEventListener("focusin", (event) => {
    if (event.target.classList.contains("band")) choose(event.target);
  });
  chart.addEventListener("keydown", (event) => {
    if (event.key === "+" || event.key === "=") { setZoom(zoom * 2); event.preventDefault(); return; }
    if (event.key === "-") { setZoom(zoom / 2); event.preventDefault(); return; }
    const lane = event.target.closest(".lane[data-name]");
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!lane || !step) return;
    const bands = [...lane.querySelectorAll(".band")];
    const now = bands.indexOf(event.target);
    const next = bands[now < 0 ? (step > 0 ? 0 : bands.length - 1) : now + step];
    if (next) { next.focus(); event.preventDefault(); }
  });
})();
