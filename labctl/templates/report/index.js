"use strict";
(() => {
  document.getElementById("filter").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    for (const row of document.querySelectorAll("#rows tbody tr")) {
      const held = row.dataset.words.toLowerCase();
      row.hidden = !words.every((word) => held.includes(word));
    }
  });
})();
