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

async function readData(path) {
  const response = await fetch(`${root}/api/${path}`);
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return response.json();
}

function taskPath(task) {
  return `dags/${encodeURIComponent(task.dag_id)}/dagRuns/${encodeURIComponent(task.dag_run_id)}/taskInstances/${encodeURIComponent(task.task_id)}`;
}

function linkTask(task, text, page = "") {
  const link = document.createElement("a");
  link.dataset.top = "";
  link.href = `${airflow}/dags/${encodeURIComponent(task.dag_id)}/runs/${encodeURIComponent(task.dag_run_id)}/tasks/${encodeURIComponent(task.task_id)}${page}`;
  link.textContent = text;
  return link;
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

// What may be chosen is read when a reader comes to such a field: it changes with each release and partition.
async function offerChoices(event) {
  const element = document.querySelector("[data-choices]");
  if (!element || !event.target.matches("input[list]")) return;
  const choices = await readData(`models/${encodeURIComponent(element.dataset.choices)}/choices`).catch(() => ({}));
  for (const [kind, values] of Object.entries(choices)) {
    document.getElementById(kind).replaceChildren(...values.map((value) => new Option("", value)));
  }
}

async function trigger(event) {
  const form = event.target;
  if (!form.matches("form.action")) return;
  event.preventDefault();
  const label = form.dataset.label;
  const filled = [...form.querySelectorAll("input")].filter((input) => input.value);
  const conf = Object.fromEntries(filled.map((input) => [input.name, input.type === "number" ? input.valueAsNumber : input.value]));
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

async function answer(detail, option, reason, buttons) {
  const task = detail.task_instance;
  const answered = { chosen_options: [option], params_input: "reason" in detail.params ? { reason } : {} };
  for (const button of buttons) button.disabled = true;
  try {
    await callAirflow(`${taskPath(task)}/${task.map_index}/hitlDetails`, { method: "PATCH", body: JSON.stringify(answered) });
    say(`Your answer is: ${option}.`);
  } catch (error) {
    say(`The answer was not taken: ${error.message}.`);
    for (const button of buttons) button.disabled = false;
  }
}

// Why an answer would have no effect; empty if it has one.
function whyClosed(detail, model) {
  const task = detail.task_instance;
  if (!task.dag_id.endsWith("_deployment")) {
    const isOutdated = model.champion_since && new Date(model.champion_since) > new Date(detail.created_at);
    return isOutdated ? `version ${model.champion} became champion after the candidate was compared` : "";
  }
  if (model.rollout_run !== `${task.dag_id}/${task.dag_run_id}`) {
    return model.status === "switched off" ? "the model is switched off, which ended the rollout" : "its rollout has ended, see the timeline";
  }
  return model.frozen ? `releases are frozen (${model.frozen}), which ends the rollout at its next step` : "";
}

function showQuestion(detail, closed) {
  const task = detail.task_instance;
  const box = document.createElement("div");
  box.className = "question";
  box.append(linkTask(task, detail.subject, "/required_actions"));
  if (closed) {
    const end = document.createElement("button");
    end.textContent = "End its run";
    end.addEventListener("click", () => answer(detail, detail.defaults[0], closed, [end]));
    box.append(`An answer has no effect: ${closed}. Its run waits, and the next one behind it.`, end);
    return box;
  }
  const label = document.createElement("label");
  label.textContent = "Reason";
  const reason = document.createElement("input");
  reason.id = label.htmlFor = `reason-${task.id}`;
  reason.maxLength = 500;
  const buttons = detail.options.map((option) => {
    const button = document.createElement("button");
    button.textContent = option;
    button.addEventListener("click", () => {
      // What happens without an answer is the rejection.
      reason.required = (detail.defaults || []).includes(option);
      if (reason.reportValidity()) answer(detail, option, reason.value, buttons);
    });
    return button;
  });
  box.append(label, reason, ...buttons);
  return box;
}

async function readQuestions(element) {
  const name = element.dataset.questions;
  try {
    const dags = [`${name}_training`, `${name}_deployment`];
    const [model, ...answers] = await Promise.all([readData(`models/${encodeURIComponent(name)}`), ...dags.map((dag) => callAirflow(questionsPath(dag)))]);
    const questions = answers.flatMap((content) => content.hitl_details).map((detail) => [detail, whyClosed(detail, model)]);
    const shown = JSON.stringify(questions.map(([detail, closed]) => [detail.task_instance.id, closed]));
    if (element.dataset.shown !== shown) {
      if (questions.length) element.replaceChildren(...questions.map(([detail, closed]) => showQuestion(detail, closed)));
      else showText(element, "Nothing waits for a person.", "empty");
    }
    element.dataset.shown = shown;
  } catch (error) {
    showText(element, `Airflow did not say what waits (${error.message}).`, "error");
    delete element.dataset.shown;
  }
  setTimeout(readQuestions, LIVE_INTERVAL_MS, element);
}

// The step of a rollout waits in Airflow's triggerer, and its requests are counted here.
async function readProgress(task, step) {
  if (step && step.task === task.task_id && step.run === `${task.dag_id}/${task.dag_run_id}`) {
    return { step: step.finding, done: step.requests, total: step.required, unit: "requests" };
  }
  const { task_state_store: entries } = await callAirflow(`${taskPath(task)}/state-store?map_index=${task.map_index}`);
  const entry = entries.find(({ key }) => key === "progress");
  // An earlier try may have left its own.
  return entry && new Date(entry.updated_at) >= new Date(task.start_date) ? entry.value : null;
}

function describeProgress(task, progress) {
  const since = `since ${new Date(task.start_date).toLocaleTimeString()}`;
  if (!progress) return `${task.state === "deferred" ? "waits" : "runs"} ${since}`;
  const total = progress.total ? ` of ${progress.total.toLocaleString()}` : "";
  const percent = progress.total ? ` (${Math.min(100, Math.floor(100 * progress.done / progress.total))} %)` : "";
  return `${progress.step}: ${progress.done.toLocaleString()}${total} ${progress.unit}${percent}, ${since}`;
}

// Elements stay while their task runs, so that a reader's focus does.
function showRunning(element, task, progress) {
  const id = `running-${task.id}`;
  let box = document.getElementById(id);
  if (!box) {
    box = document.createElement("div");
    box.id = id;
    box.className = "running";
    const name = task.rendered_map_index ? `${task.task_id} ${task.rendered_map_index}` : task.task_id;
    const link = linkTask(task, `${task.dag_id}, ${name}`);
    link.title = task.dag_run_id;
    box.append(link, document.createElement("span"), document.createElement("progress"));
    element.append(box);
  }
  const [link, words, bar] = box.children;
  words.textContent = ` ${describeProgress(task, progress)}`;
  bar.setAttribute("aria-label", link.textContent + words.textContent);
  bar.hidden = !progress && task.state === "deferred";
  if (progress && progress.total) Object.assign(bar, { max: progress.total, value: Math.min(progress.done, progress.total) });
  else bar.removeAttribute("value");
  return box;
}

async function readRunning(element) {
  const wanted = { dag_ids: element.dataset.running.split(" "), state: ["running", "deferred"], page_limit: 20, order_by: "start_date" };
  try {
    const [content, step] = await Promise.all([
      callAirflow("dags/~/dagRuns/~/taskInstances/list", { method: "POST", body: JSON.stringify(wanted) }),
      readData(`models/${encodeURIComponent(element.dataset.model)}/rollout`),
    ]);
    const tasks = content.task_instances.filter((task) => task.start_date);
    const progress = await Promise.all(tasks.map((task) => readProgress(task, step)));
    if (element.firstElementChild && !element.querySelector(".running")) element.replaceChildren();
    const boxes = tasks.map((task, number) => showRunning(element, task, progress[number]));
    for (const box of [...element.children]) if (!boxes.includes(box)) box.remove();
    if (!tasks.length) showText(element, "Nothing runs for this model.", "empty");
  } catch (error) {
    showText(element, `Airflow did not say what runs (${error.message}).`, "error");
  }
  setTimeout(readRunning, LIVE_INTERVAL_MS, element);
}

async function markWaiting() {
  const marks = [...document.querySelectorAll("[data-waiting]")];
  try {
    const content = await callAirflow(questionsPath("~"));
    for (const mark of marks) {
      const name = mark.dataset.waiting;
      const dags = [`${name}_training`, `${name}_deployment`];
      const details = content.hitl_details.filter((detail) => dags.includes(detail.task_instance.dag_id));
      const model = details.length ? await readData(`models/${encodeURIComponent(name)}`) : null;
      if (details.some((detail) => !whyClosed(detail, model))) mark.textContent = " waits for approval";
    }
  } catch { /* The table is complete without the marks. */ }
}

followTheme();
showTimes(document);
document.addEventListener("click", followInTop);
document.addEventListener("submit", trigger);
document.addEventListener("focusin", offerChoices);
for (const panel of document.querySelectorAll("[data-panel]")) readPanel(panel);
for (const element of document.querySelectorAll("[data-questions]")) readQuestions(element);
for (const element of document.querySelectorAll("[data-running]")) readRunning(element);
if (document.querySelector("[data-waiting]")) markWaiting();
if (shownParts.size) keepFresh();
