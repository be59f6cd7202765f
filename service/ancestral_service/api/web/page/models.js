// The view "Models": what is served, from which data, under which licence.

import { get, request } from "./api.js";
import { figures, models as loadModels } from "./controls.js";
import { thumbnailMaker } from "./classes.js";
import { copy, h, problem } from "./dom.js";
import { markdown } from "./markdown.js";
import { previewButton, silence } from "./voices.js";

const MOST_SAMPLES = 6;

export async function open() {
  const models = await loadModels();
  const voices = models.some((model) => model.sample_rate) ? (await get("v1/audio/voices")).voices : [];
  const draws = models.some((model) => model.capabilities.includes("image_generation"));
  const classes = draws ? (await get("v1/images/classes")).data : [];
  const thumbnail = thumbnailMaker();
  const cardOf = (model) => {
    const shown = classes.filter((one) => one.model === model.id).slice(0, MOST_SAMPLES);
    const samples = shown.filter((one) => one.thumbnail_url).map((one) => thumbnail(one, 48, `A sample: ${one.id}`));
    return card(
      model,
      voices.filter((voice) => voice.models.includes(model.id)),
      samples,
    );
  };
  const shelf = (some) => h("ul", { class: "models" }, some.map(cardOf));
  const papers = [...new Set(models.map((model) => model.paper).filter(Boolean))].map((paper) => [paper, models.filter((model) => model.paper === paper)]);
  return {
    leave: silence,
    element: h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "sheet wide" },
        h("h1", {}, "Models"),
        h(
          "p",
          { class: "hint" },
          `${models.length} ${models.length === 1 ? "model is" : "models are"} served. A model's hash names its weights: a seed gives the same bytes only with the same weights.`,
        ),
      ),
      shelf(models.filter((model) => !model.paper)),
      papers.map(([paper, some]) =>
        h("details", { class: "sheet shelf" }, h("summary", {}, h("h2", {}, paper), h("p", { class: "dim" }, some.map(({ id }) => id).join(", "))), shelf(some))),
    ),
  };
}

const VIEW = { speech: "speak", generation: "speak", image_generation: "draw" };
const NAMES = {
  speech: "speaks text",
  generation: "samples sound without text",
  continuation: "continues recordings",
  likelihood: "scores recordings",
  image_generation: "draws",
  image_completion: "completes pictures",
  image_edit: "draws parts of pictures anew",
  image_classification: "says what its pictures show",
  image_interpolation: "interpolates",
  image_likelihood: "scores pictures",
  image_reconstruction: "reconstructs pictures",
  image_portrait: "draws portraits of a person on a picture",
  image_encoding: "gives the vector of a picture",
};

function card(model, voices, samples) {
  const hash = h(
    "button",
    {
      type: "button",
      class: "quiet mono",
      title: "Copy the SHA-256 of the weights",
      onclick: () => copy(model.sha256, hash),
    },
    model.sha256.slice(0, 16),
  );
  const view = model.capabilities.map((one) => VIEW[one]).find(Boolean);
  const text = h("div", { class: "card-text" }, h("p", { class: "loading" }, "Loading…"));
  let loaded = false;
  const details = h(
    "details",
    {
      class: "panel",
      ontoggle: async () => {
        if (loaded || !details.open) return;
        loaded = true;
        try {
          text.replaceChildren(...markdown(await (await request(`v1/models/${model.id}/card`)).text()));
        } catch (error) {
          loaded = false;
          text.replaceChildren(h("p", { class: "wrong" }, error.message));
        }
      },
    },
    h("summary", {}, "Model card: data, licence, training, figures"),
    text,
  );
  return h(
    "li",
    { class: "sheet" },
    h(
      "div",
      { class: "row wrap" },
      h("h2", { class: "grow" }, model.id),
      view && h("a", { class: "button", href: `#${view}?model=${model.id}` }, view === "speak" ? "Speak" : "Draw"),
    ),
    h("p", {}, model.description),
    h("p", { class: "dim" }, model.capabilities.map((one) => NAMES[one] ?? one).join(", ")),
    figures([
      ["Parameters", count(model.parameters)],
      model.sample_rate ? ["Sample rate", `${model.default_sample_rate / 1000} kHz`] : ["Size", model.size.replace("x", " × ")],
      [
        "Sees back",
        model.sample_rate
          ? `${Math.round((1000 * model.receptive_field) / model.sample_rate)} ms`
          : `${model.receptive_field} rows`,
      ],
      ["SHA-256", hash],
    ]),
    samples.length > 0 && h("div", { class: "row wrap samples" }, samples),
    details,
    voices.length > 0 && voiceList(model, voices),
  );
}

function voiceList(model, voices) {
  const message = h("div", { class: "message" });
  const fail = (error, retry) => {
    if (!("status" in error)) throw error;
    message.replaceChildren(problem(error, () => message.replaceChildren() ?? retry()));
  };
  const item = (voice) =>
    h(
      "li",
      { class: "row" },
      voice.preview_url && previewButton(voice, model.id, fail),
      h("span", {}, h("strong", {}, voice.name), ` ${voice.description} (${voice.license})`),
    );
  const names = voices.length === 1 ? "One voice" : `${voices.length} voices`;
  return h("details", { class: "panel" }, h("summary", {}, names), message, h("ul", { class: "plain" }, voices.map(item)));
}

function count(number) {
  return number >= 1e6 ? `${(number / 1e6).toFixed(1)} M` : `${Math.round(number / 1000)} k`;
}
