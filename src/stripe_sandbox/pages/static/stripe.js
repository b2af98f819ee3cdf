// A stand-in for Stripe.js, for tests only: it speaks to the offline Stripe that served it, takes
// test cards alone, and refuses live keys. What is typed stays in the frame that an element shows,
// as at Stripe; this script gets a payment method for it.

(() => {
  "use strict";

  const SCRIPT = new URL(document.currentScript.src);
  const HOME = SCRIPT.origin;
  const TRAIN = SCRIPT.pathname.split("/")[1];
  const NEVER = new Promise(() => {});

  const KINDS = {
    pi: { path: "payment_intents", object: "payment_intent", name: "paymentIntent", failure: "last_payment_error" },
    seti: { path: "setup_intents", object: "setup_intent", name: "setupIntent", failure: "last_setup_error" },
  };
  const kindOf = (secret) => KINDS[secret.split("_")[0]] ?? KINDS.pi;

  /** Nested parameters as Stripe's form fields: `{a: {b: 1}}` is `a[b]=1`. */
  function flat(value, name = "", fields = {}) {
    if (value !== null && typeof value === "object") {
      for (const [key, part] of Object.entries(value)) flat(part, name ? `${name}[${key}]` : key, fields);
    } else if (value !== null && value !== undefined) {
      fields[name] = String(value);
    }
    return fields;
  }

  function failure(type, message, more = {}) {
    return { error: { type, message, ...more } };
  }

  function leave(url) {
    location.assign(url);
    return NEVER;
  }

  function frameOf(src, title) {
    const frame = document.createElement("iframe");
    Object.assign(frame, { src, title });
    Object.assign(frame.style, { border: "0", display: "block", width: "100%" });
    return frame;
  }

  /** The bank's page, in front of everything, until `look` says that the customer has answered it. */
  function challenge(url, look) {
    const dialog = document.createElement("dialog");
    dialog.setAttribute("aria-label", "Authentication");
    Object.assign(dialog.style, { border: "0", borderRadius: "14px", padding: "0", width: "min(30rem, 94vw)" });
    const frame = frameOf(url, "The bank's page");
    frame.style.height = "26rem";
    frame.addEventListener("load", async () => {
      const now = await look();
      if (now.error || now.status !== "requires_action") dialog.close();
    });
    const close = document.createElement("button");
    Object.assign(close, { type: "button", textContent: "Close", onclick: () => dialog.close() });
    Object.assign(close.style, { display: "block", margin: ".5rem .5rem .5rem auto", padding: ".4rem .8rem" });
    dialog.append(close, frame);
    document.body.append(dialog);
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => {
        dialog.remove();
        resolve(look());
      });
      dialog.showModal();
    });
  }

  class StripeElement {
    #group;
    #options;
    #listeners = new Map();
    #waiting = new Map();
    #frame = null;
    #port = null;

    constructor(group, type, options) {
      this._elementType = type;
      this.#group = group;
      this.#options = options;
    }

    mount(target) {
      const place = typeof target === "string" ? document.querySelector(target) : target;
      if (!place) throw new Error(`The selector you specified (${target}) applies to no element of the page.`);
      this.unmount();
      this.#frame = frameOf(`${HOME}/v3/element`, "Secure payment input frame");
      Object.assign(this.#frame.style, { margin: "-5px", width: "calc(100% + 10px)" }); // room for the focus ring
      this.#frame.addEventListener("load", () => this.#connect(), { once: true });
      place.replaceChildren(this.#frame);
    }

    unmount() {
      this.#frame?.remove();
      this.#port?.close();
      this.#frame = this.#port = null;
    }

    destroy() {
      this.unmount();
      this.#group._elements.delete(this._elementType);
    }

    on(event, listener) {
      this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
      return this;
    }

    once(event, listener) {
      const first = (what) => (this.off(event, first), listener(what));
      return this.on(event, first);
    }

    off(event, listener) {
      this.#listeners.set(event, listener ? (this.#listeners.get(event) ?? []).filter((one) => one !== listener) : []);
      return this;
    }

    update(options) {
      Object.assign(this.#options, options);
    }

    focus = () => void this._ask("focus");
    blur = () => void this._ask("blur");
    clear = () => void this._ask("clear");

    async _ask(what, about = {}) {
      if (!this.#port) return failure("validation_error", `The ${this._elementType} element is not mounted, or not ready yet.`);
      const id = crypto.randomUUID();
      this.#port.postMessage({ id, what, about });
      return new Promise((resolve) => this.#waiting.set(id, resolve));
    }

    #emit(event, about = {}) {
      for (const listener of this.#listeners.get(event) ?? []) listener({ elementType: this._elementType, ...about });
    }

    async #connect() {
      const { port1, port2 } = new MessageChannel();
      const frame = this.#frame;
      const setting = await this.#group._setting(this._elementType, this.#options);
      if (frame !== this.#frame) return;
      if (setting.error) return this.#emit("loaderror", setting);
      this.#port = port1;
      port1.onmessage = ({ data }) => this.#hear(data);
      frame.contentWindow.postMessage(setting, HOME, [port2]);
    }

    #hear({ id, answer, event, about }) {
      if (id) {
        this.#waiting.get(id)?.(answer);
        this.#waiting.delete(id);
      } else if (event === "height") {
        this.#frame.style.height = `${about}px`;
      } else {
        this.#emit(event, about);
      }
    }
  }

  class Elements {
    #client;
    _elements = new Map();

    constructor(client, options = {}) {
      this.#client = client;
      this._options = options;
    }

    create(type, options = {}) {
      if (type !== "payment" && type !== "card") throw new Error(`The offline Stripe has no ${type} element.`);
      if (this._elements.has(type)) throw new Error(`Can only create one Element of type ${type}.`);
      this._elements.set(type, new StripeElement(this, type, options));
      return this.getElement(type);
    }

    getElement(type) {
      return this._elements.get(type) ?? null;
    }

    update(options) {
      Object.assign(this._options, options);
    }

    async fetchUpdates() {
      return {};
    }

    async submit() {
      const element = this.getElement("payment");
      return element ? element._ask("submit") : failure("validation_error", "There is no payment element.");
    }

    /** What the frame shows: the methods of the intent, or those that the page names. */
    async _setting(type, { style }) {
      const { clientSecret, appearance = {}, paymentMethodTypes } = this._options;
      const variables = { colorText: style?.base?.color, ...appearance.variables };
      const setting = { key: this.#client._key, theme: appearance.theme, variables };
      if (type === "card") return { ...setting, types: ["card"] };
      if (!clientSecret) return { ...setting, types: paymentMethodTypes };
      const intent = await this.#client._look(clientSecret);
      return intent.error ? intent : { ...setting, types: intent.payment_method_types };
    }
  }

  class Client {
    constructor(key) {
      this._key = key;
    }

    elements(options) {
      return new Elements(this, options);
    }

    confirmPayment = (options) => this.#confirmWithElements(options);
    confirmSetup = (options) => this.#confirmWithElements(options);
    confirmCardPayment = (secret, data, options) => this.#confirmCard(secret, data, options);
    confirmCardSetup = (secret, data, options) => this.#confirmCard(secret, data, options);
    retrievePaymentIntent = (secret) => this.#show(secret);
    retrieveSetupIntent = (secret) => this.#show(secret);
    handleCardAction = (clientSecret) => this.handleNextAction({ clientSecret });

    async handleNextAction({ clientSecret }) {
      return this.#settle(clientSecret, await this._look(clientSecret));
    }

    async createPaymentMethod({ elements, params, ...data }) {
      const element = elements?.getElement("payment") ?? Object.values(data).find((part) => part instanceof StripeElement);
      const { type, card, ...rest } = { ...data, ...params };
      const answer = element
        ? await element._ask("method", flat(rest))
        : await this.#call("POST", "payment_methods", { ...data, ...params });
      return answer.error ? { error: answer.error } : { paymentMethod: answer };
    }

    async createToken() {
      return failure("api_error", "The offline Stripe has no tokens: create a payment method.");
    }

    async redirectToCheckout({ sessionId }) {
      return leave(`${HOME}/c/pay/${encodeURIComponent(sessionId)}`);
    }

    // The loaders @stripe/stripe-js and @stripe/react-stripe-js introduce themselves.
    registerAppInfo() {}
    _registerWrapper() {}

    _look(secret) {
      const id = secret.split("_secret_")[0];
      return this.#call("GET", `${kindOf(secret).path}/${id}`, { client_secret: secret });
    }

    async #confirmWithElements({ elements, clientSecret, confirmParams = {}, redirect = "always" }) {
      const secret = clientSecret ?? elements?._options.clientSecret;
      if (!secret) return failure("validation_error", "There is no client secret: give it to elements() or here.");
      const { return_url, payment_method_data: details, ...params } = confirmParams;
      const returns = redirect === "always";
      if (returns && !return_url) return failure("validation_error", "confirmParams.return_url is missing.");
      const made = params.payment_method ? {} : await this.createPaymentMethod({ elements, params: details });
      if (made.error) return made;
      const method = { payment_method: made.paymentMethod?.id, ...params };
      const result = await this.#confirm(secret, { ...method, return_url });
      return result.error || !returns ? result : this.#goBack(secret, result, return_url);
    }

    async #confirmCard(secret, { payment_method, ...params } = {}, { handleActions = true } = {}) {
      let id = payment_method;
      if (typeof payment_method === "object") {
        const made = await this.createPaymentMethod({ type: "card", ...payment_method });
        if (made.error) return made;
        id = made.paymentMethod.id;
      }
      return this.#confirm(secret, { ...params, payment_method: id }, handleActions);
    }

    async #confirm(secret, params, handleActions = true) {
      const { path, name } = kindOf(secret);
      const form = { ...params, client_secret: secret, use_stripe_sdk: true };
      const answer = await this.#call("POST", `${path}/${secret.split("_secret_")[0]}/confirm`, form);
      return handleActions || answer.error ? this.#settle(secret, answer) : { [name]: answer };
    }

    /** Let the customer do what the bank asks for; then the intent, or why it has failed. */
    async #settle(secret, intent) {
      const { object, name, failure: failed } = kindOf(secret);
      const action = intent.status === "requires_action" ? intent.next_action : null;
      if (action?.redirect_to_url) return leave(action.redirect_to_url.url);
      const look = () => this._look(secret);
      const now = action ? await challenge(action.use_stripe_sdk.stripe_js, look) : intent;
      if (now.error) return { error: now.error };
      if (action && now.status === "requires_payment_method") return { error: { ...now[failed], [object]: now } };
      if (now.status !== "requires_action") return { [name]: now };
      const code = `${object}_authentication_failure`;
      return failure("card_error", "The bank's page was closed without an answer.", { code, [object]: now });
    }

    async #show(secret) {
      const intent = await this._look(secret);
      return intent.error ? { error: intent.error } : { [kindOf(secret).name]: intent };
    }

    #goBack(secret, result, returnUrl) {
      const { object, name } = kindOf(secret);
      const url = new URL(returnUrl, location);
      url.searchParams.set(object, result[name].id);
      url.searchParams.set(`${object}_client_secret`, secret);
      url.searchParams.set("redirect_status", result[name].status === "processing" ? "pending" : "succeeded");
      return leave(url);
    }

    async #call(method, path, params) {
      const form = new URLSearchParams(flat(params));
      const [query, body] = method === "GET" ? [`?${form}`, null] : ["", form];
      const headers = { Authorization: `Bearer ${this._key}` };
      try {
        return await (await fetch(`${HOME}/v1/${path}${query}`, { method, body, headers })).json();
      } catch {
        return failure("api_connection_error", `The offline Stripe at ${HOME} cannot be reached.`);
      }
    }
  }

  globalThis.Stripe = function Stripe(key) {
    if (!String(key).startsWith("pk_test_")) {
      throw new Error("This is an offline Stripe, for tests only: it takes pk_test_ keys, and never a live one.");
    }
    return new Client(key);
  };
  Stripe.version = TRAIN === "v3" ? 3 : TRAIN;
})();
