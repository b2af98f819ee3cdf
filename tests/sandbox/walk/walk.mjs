// One story as stripe-node walks it: it comes as JSON, and what is not as it should be is printed.

import Stripe from "stripe";

const { url, key, steps } = JSON.parse(process.argv[2]);
const address = new URL(url);
const stripe = new Stripe(key, {
  host: address.hostname,
  port: address.port,
  protocol: "http",
  telemetry: false,
});

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const pascal = (name) => camel(`_${name}`);

/** A method by its Python name; a resource below another is a method of that one here. */
function method(name) {
  const parts = name.split(".");
  const verb = parts.pop().replace(/^delete$/, "del");
  let [found, parent, last] = [stripe, null, null];
  for (const part of parts) [parent, last, found] = [found, part, found?.[camel(part)]];
  const nested = `${camel(verb)}${last && pascal(last)}`;
  if (found?.[camel(verb)]) return found[camel(verb)].bind(found);
  return parent[nested].bind(parent);
}

function look(answer, path) {
  for (const part of path.split(".")) {
    if (part === "#") return (answer ?? []).length;
    answer = answer?.[part] ?? null;
  }
  return answer;
}

function fits(found, wanted) {
  if (typeof wanted === "string" && wanted.startsWith("~"))
    return typeof found === "string" && new RegExp(wanted.slice(1)).test(found);
  return JSON.stringify(found) === JSON.stringify(wanted);
}

class Unknown extends Error {}

function resolved(value, known) {
  if (Array.isArray(value)) return value.map((member) => resolved(member, known));
  if (value !== null && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolved(v, known)]));
  if (typeof value !== "string") return value;
  if (value.startsWith("$")) return knownAs(value, known);
  return value.replace(/\{(\$[\w.]+)\}/g, (_, reference) => knownAs(reference, known));
}

function knownAs(reference, known) {
  const [name, ...path] = reference.slice(1).split(".");
  const found = path.length ? look(known[name], path.join(".")) : known[name];
  if (found === null || found === undefined) throw new Unknown(reference);
  return found;
}

async function made(step, words, params) {
  const [first, second] = words;
  if (first === "settle")
    return (await fetch(`${url}/_sandbox/settle`, { method: "POST" })).json();
  if (first === "download") {
    const headers = { Authorization: `Bearer ${key}` };
    const { pathname } = new URL(second, url); // it may name another host, as behind a proxy
    const answer = await fetch(new URL(pathname, url), { headers });
    const type = answer.headers.get("content-type");
    return { status: answer.status, text: await answer.text(), type };
  }
  if (["GET", "POST", "DELETE"].includes(first)) return stripe.rawRequest(first, second, params);
  if (first === "all") {
    const data = [];
    for await (const found of method(second)(params)) data.push(found);
    return { data };
  }
  const options = Object.fromEntries(
    Object.entries(step.options).map(([name, value]) => [camel(name), value]),
  );
  return method(first)(...words.slice(1), params, options);
}

async function answerTo(step, known, problems) {
  const words = step.call.split(" ").map((word) => resolved(word, known));
  const params = resolved(step.params, known);
  try {
    const answer = await made(step, words, params);
    if (step.fails) problems.push(`${step.call} did not fail`);
    return answer;
  } catch (error) {
    if (!(error instanceof Stripe.errors.StripeError)) throw error;
    if (!step.fails) problems.push(`${step.call} failed: ${error.message}`);
    const name = error.type.replace(/^Stripe/, "");
    return { ...error.raw, class: name, type: error.rawType, status: error.statusCode };
  }
}

async function walk(steps) {
  const [known, problems] = [{}, []];
  for (const [index, step] of steps.entries()) {
    const where = `${index + 1}. ${step.call}`;
    try {
      const answer = await answerTo(step, known, problems);
      known[step.called] = answer;
      for (const [path, wanted] of Object.entries(step.sees)) {
        const found = look(answer, path);
        if (!fits(found, resolved(wanted, known)))
          problems.push(`${where}: ${path} is ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
      }
    } catch (error) {
      if (!(error instanceof Unknown)) throw error;
      return [...problems, `${where}: nothing is known of ${error.message}`];
    }
  }
  return problems;
}

process.stdout.write(JSON.stringify({ problems: await walk(steps), api: stripe.getApiField("version") }));
