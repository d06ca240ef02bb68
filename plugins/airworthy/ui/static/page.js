"use strict";
// Panels, approvals and actions of the pages. Texts from outside are set as text, never as markup.
const { root, airflow } = document.body.dataset;
const LIVE_INTERVAL_MS = 3000;

function showTimes(element) {
  for (const time of element.querySelectorAll("time")) {
    const moment = new Date(time.dateTime);
    time.title = time.dateTime;
    time.textContent = moment.toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" });
  }
}

// A message stays until the next one, or until the reader closes it.
function say(text, run) {
  const message = document.getElementById("message");
  const close = document.createElement("button");
  close.textContent = "Close";
  close.addEventListener("click", () => { message.hidden = true; });
  const parts = [text, " "];
  if (run) {
    const link = document.createElement("a");
    link.dataset.top = "";
    link.href = `${airflow}/dags/${encodeURIComponent(run.dag_id)}/runs/${encodeURIComponent(run.dag_run_id)}`;
    link.textContent = "See the run";
    parts.push(link, " ");
  }
  message.replaceChildren(...parts, close);
  message.hidden = false;
}

// A frame may not open a page of Airflow, but a link of the page around it may.
function followInTop(event) {
  const link = event.target.closest("a[data-top]");
  if (!link || window.parent === window) return;
  event.preventDefault();
  const outer = window.parent.document.createElement("a");
  outer.href = link.href;
  if ("new" in link.dataset) Object.assign(outer, { target: "_blank", rel: "noopener" });
  outer.click();
}

// Airflow's own choice of light or dark counts, where this page is framed.
function followTheme() {
  if (window.parent === window) return;
  const outer = window.parent.document.documentElement;
  const copy = () => {
    const dark = outer.classList.contains("dark") || outer.dataset.theme === "dark";
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  };
  copy();
  new MutationObserver(copy).observe(outer, { attributes: true });
}

async function readPanel(panel) {
  try {
    const response = await fetch(panel.dataset.panel);
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    const part = new DOMParser().parseFromString(await response.text(), "text/html");
    panel.replaceChildren(...part.body.childNodes);
    if ("live" in panel.dataset) {
      for (const chart of panel.querySelectorAll("img")) chart.src += `?at=${Math.floor(Date.now() / 15000)}`;
    }
    showTimes(panel);
  } catch (error) {
    showText(panel, `This part cannot be read now (${error.message}).`, "error");
  }
  if ("live" in panel.dataset) setTimeout(readPanel, LIVE_INTERVAL_MS, panel);
}

// Parts of the page that follow the state of the model, such as the actions that are possible now.
const shownParts = new Map();
for (const part of document.querySelectorAll("[data-live-part]")) shownParts.set(part.id, part.innerHTML);

function isFilledIn(part) {
  return [...part.querySelectorAll("input")].some((input) => input.value || input === document.activeElement);
}

async function refreshParts() {
  const response = await fetch(window.location.href).catch(() => null);
  if (!response || !response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live-part]")) {
    const fresh = page.getElementById(part.id);
    if (!fresh || fresh.innerHTML === shownParts.get(part.id) || isFilledIn(part)) continue;
    shownParts.set(part.id, fresh.innerHTML);
    part.replaceChildren(...fresh.childNodes);
    showTimes(part);
  }
}

async function keepFresh() {
  await refreshParts();
  setTimeout(keepFresh, LIVE_INTERVAL_MS);
}

function showText(element, text, className) {
  const paragraph = document.createElement("p");
  paragraph.className = className;
  paragraph.textContent = text;
  element.replaceChildren(paragraph);
}

async function callAirflow(path, options = {}) {
  const response = await fetch(`${airflow}/api/v2/${path}`, {
    headers: { "Content-Type": "application/json" }, credentials: "same-origin", ...options,
  });
  const content = await response.json().catch(() => ({}));
  if (!response.ok) {
    const detail = typeof content.detail === "string" ? content.detail : JSON.stringify(content.detail);
    throw new Error(response.status === 403 ? "your roles in Airflow do not allow it" : detail || response.statusText);
  }
  return content;
}

// An action has an effect once its run has ended.
async function followRun(label, run) {
  const path = `dags/${encodeURIComponent(run.dag_id)}/dagRuns/${encodeURIComponent(run.dag_run_id)}`;
  const { state } = await callAirflow(path).catch(() => run);
  if (state === "success") say(`${label}: done.`, run);
  else if (state === "failed") say(`${label} failed.`, run);
  else setTimeout(followRun, LIVE_INTERVAL_MS, label, run);
  refreshParts();
}

async function trigger(event) {
  const form = event.target;
  if (!form.matches("form.action")) return;
  event.preventDefault();
  const label = form.dataset.label;
  const conf = Object.fromEntries(new FormData(form));
  for (const [name, value] of Object.entries(form.dataset)) {
    if (name.startsWith("conf")) conf[name.slice(4).toLowerCase()] = value;
  }
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const run = await callAirflow(`dags/${encodeURIComponent(form.dataset.dag)}/dagRuns`, {
      method: "POST", body: JSON.stringify({ logical_date: null, conf }),
    });
    say(`${label}: has been started.`, run);
    form.reset();
    document.activeElement.blur();
    followRun(label, run);
  } catch (error) {
    say(`${label} failed: ${error.message}.`);
  }
  button.disabled = false;
}

function questionsPath(dag) {
  return `dags/${encodeURIComponent(dag)}/dagRuns/~/hitlDetails?response_received=false&state=deferred&state=awaiting_input&limit=100`;
}

async function answer(task, option, buttons) {
  for (const button of buttons) button.disabled = true;
  const run = encodeURIComponent(task.dag_run_id);
  const path = `dags/${encodeURIComponent(task.dag_id)}/dagRuns/${run}/taskInstances/${encodeURIComponent(task.task_id)}/${task.map_index}/hitlDetails`;
  try {
    await callAirflow(path, { method: "PATCH", body: JSON.stringify({ chosen_options: [option], params_input: {} }) });
    say(`Your answer is: ${option}.`);
  } catch (error) {
    say(`The answer was not taken: ${error.message}.`);
    for (const button of buttons) button.disabled = false;
  }
}

function showQuestion(detail) {
  const task = detail.task_instance;
  const box = document.createElement("div");
  box.className = "question";
  const link = document.createElement("a");
  link.dataset.top = "";
  link.href = `${airflow}/dags/${encodeURIComponent(task.dag_id)}/runs/${encodeURIComponent(task.dag_run_id)}/tasks/${encodeURIComponent(task.task_id)}/required_actions`;
  link.textContent = detail.subject;
  box.append(link);
  const buttons = detail.options.map((option) => {
    const button = document.createElement("button");
    button.textContent = option;
    button.addEventListener("click", () => answer(task, option, buttons));
    return button;
  });
  box.append(...buttons);
  return box;
}

async function readQuestions(element) {
  const model = element.dataset.questions;
  try {
    const dags = [`${model}_training`, `${model}_deployment`];
    const answers = await Promise.all(dags.map((dag) => callAirflow(questionsPath(dag))));
    const details = answers.flatMap((content) => content.hitl_details);
    if (details.length) element.replaceChildren(...details.map(showQuestion));
    else showText(element, "Nothing waits for a person.", "empty");
  } catch (error) {
    showText(element, `Airflow did not say what waits (${error.message}).`, "error");
  }
  setTimeout(readQuestions, LIVE_INTERVAL_MS, element);
}

async function markWaiting() {
  const marks = [...document.querySelectorAll("[data-waiting]")];
  try {
    const content = await callAirflow(questionsPath("~"));
    const waiting = new Set(content.hitl_details.map((detail) => detail.task_instance.dag_id));
    for (const mark of marks) {
      const name = mark.dataset.waiting;
      const waits = waiting.has(`${name}_training`) || waiting.has(`${name}_deployment`);
      mark.textContent = waits ? " waits for approval" : "";
    }
  } catch { /* The table is complete without the marks. */ }
}

followTheme();
showTimes(document);
document.addEventListener("click", followInTop);
document.addEventListener("submit", trigger);
for (const panel of document.querySelectorAll("[data-panel]")) readPanel(panel);
for (const element of document.querySelectorAll("[data-questions]")) readQuestions(element);
if (document.querySelector("[data-waiting]")) markWaiting();
if (shownParts.size) keepFresh();
