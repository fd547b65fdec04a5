/** Three photographs to press for who has no image at hand. The model judges each differently. */
import { useState } from "preact/hooks";
import { asProblem, Problem } from "../../api/problem";
import { classifyAll } from "../../store/classified";
import { Failure } from "../../ui/state";

const SAMPLES = [
  { name: "clickbait.jpg", text: "a cat with a loud caption" },
  { name: "legitimate.jpg", text: "a rocket launch" },
  { name: "unsure.jpg", text: "the cat alone" },
] as const;

const addressOf = (name: string) => `/samples/${name}`;

async function sample(name: string): Promise<File> {
  const response = await fetch(addressOf(name));
  const image = await response.blob();
  if (!image.type.startsWith("image/")) {
    throw new Problem("The sample is not there", "Choose an image of your own.", response.status);
  }
  return new File([image], name, { type: image.type });
}

export function Samples() {
  const [problem, setProblem] = useState<Problem>();
  const press = (name: string) => {
    setProblem(undefined);
    sample(name).then(
      (file) => classifyAll([file]),
      (error) => setProblem(asProblem(error, location.origin)),
    );
  };
  return (
    <div class="samples">
      <p class="hint">
        No image at hand? Press one of these (
        <a href="/samples/LICENCE.txt" target="_blank" rel="noreferrer">
          credits
        </a>
        ).
      </p>
      <div class="row center">
        {SAMPLES.map(({ name, text }) => (
          <button
            key={name}
            type="button"
            class="sample"
            aria-label={`Classify ${text}`}
            onClick={() => press(name)}
          >
            <img src={addressOf(name)} alt="" width="128" height="72" fetchpriority="low" />
          </button>
        ))}
      </div>
      {problem && <Failure problem={problem} />}
    </div>
  );
}
