(function () {
  "use strict";
  var root = document.documentElement, all = function (query, within) {
    return Array.prototype.slice.call((within || document).querySelectorAll(query));
  };
  var stored = null;
  try { stored = localStorage.getItem("solfa-theme"); } catch (error) { stored = null; }
  if (stored === "light" || stored === "dark") root.dataset.theme = stored;
  var button = document.getElementById("theme");
  var isDark = function () {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  var name = function () { button.textContent = isDark() ? "Light" : "Dark"; };
  button.hidden = false;
  name();
  button.addEventListener("click", function () {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("solfa-theme", root.dataset.theme); } catch (error) { return name(); }
    name();
  });

  var style = document.head.appendChild(document.createElement("style")), hidden = {};
  all(".legend .key[data-e]").forEach(function (key) {
    key.setAttribute("role", "button");
    key.setAttribute("aria-pressed", "true");
    key.tabIndex = 0;
    key.style.cursor = "pointer";
    var toggle = function () {
      hidden[key.dataset.e] = !hidden[key.dataset.e];
      all(".legend .key[data-e=\"" + key.dataset.e + "\"]").forEach(function (other) {
        other.setAttribute("aria-pressed", String(!hidden[key.dataset.e]));
      });
      style.textContent = Object.keys(hidden).filter(function (e) { return hidden[e]; }).map(function (e) {
        return "svg [data-e=\"" + e + "\"]{display:none}";
      }).join("");
    };
    key.addEventListener("click", toggle);
    key.addEventListener("keydown", function (event) {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); toggle(); }
    });
  });

  all("[data-tabs]").forEach(function (group) {
    var parts = all(":scope > [data-tab]", group);
    if (parts.length < 2) return;
    var bar = document.createElement("div");
    bar.className = "tabs";
    bar.setAttribute("role", "tablist");
    var show = function (chosen) {
      parts.forEach(function (part, index) { part.hidden = index !== chosen; });
      all("button", bar).forEach(function (tab, index) { tab.setAttribute("aria-selected", String(index === chosen)); });
    };
    parts.forEach(function (part, index) {
      var tab = document.createElement("button");
      tab.type = "button";
      tab.setAttribute("role", "tab");
      tab.textContent = part.dataset.tab;
      tab.addEventListener("click", function () { show(index); });
      bar.appendChild(tab);
    });
    group.insertBefore(bar, parts[0]);
    show(0);
  });

  var tip = document.body.appendChild(document.createElement("div"));
  tip.id = "tip";
  tip.hidden = true;
  all("svg title").forEach(function (title) {
    title.parentNode.dataset.tip = title.textContent;
    title.parentNode.setAttribute("aria-label", title.textContent);
    title.remove();
  });
  all("[title]").forEach(function (element) {
    element.dataset.tip = element.title;
    element.removeAttribute("title");
  });
  var place = function (event) {
    var over = event.target.closest && event.target.closest("[data-tip]");
    tip.hidden = !over;
    if (!over) return;
    tip.textContent = over.dataset.tip;
    var box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(innerWidth - box.width - 4, event.clientX + 12)) + "px";
    tip.style.top = (event.clientY + box.height + 22 > innerHeight ? event.clientY - box.height - 10 : event.clientY + 16) + "px";
  };
  document.addEventListener("pointerover", place);
  document.addEventListener("pointermove", place);
  addEventListener("scroll", function () { tip.hidden = true; }, { passive: true });
})();
