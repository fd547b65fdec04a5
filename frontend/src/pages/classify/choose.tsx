/** Where images are chosen: each one is classified, or named with what can be done. */
import { useEffect, useId, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { MAX_IMAGES } from "../../api/limits";
import { predictor } from "../../api/session";
import { plural } from "../../format";
import { warmUp } from "../../image/prepare";
import { videosIn } from "../../image/youtube";
import { classified, classifyAll, classifyVideo, leftOver } from "../../store/classified";
import { handed } from "../../store/handed";
import { DropZone } from "../../ui/drop-zone";
import { FullSize } from "../../ui/full-size";
import { LeftOutFiles } from "../../ui/left-out";
import { NeedsToken } from "../../ui/token";
import { Samples } from "./samples";

function More() {
  const { route } = useLocation();
  const { others, more } = leftOver.value;
  return (
    <>
      {more.length > 0 && (
        <p class="more" role="status">
          {plural(more.length, "more image")} chosen.{" "}
          <button
            type="button"
            class="link"
            onClick={() => {
              handed.value = more;
              leftOver.value = { others, more: [] };
              route("/batch");
            }}
          >
            Run {more.length === 1 ? "it" : "them"} as a batch
          </button>
        </p>
      )}
      <LeftOutFiles of={others} />
    </>
  );
}

/** Characters of a text that a message repeats. */
const SHOWN = 60;

/** Why a pasted text is not classified. */
function explain(text: string): string {
  if (/^(https?:\/\/|www\.)/.test(text)) {
    return "Only links to YouTube videos can be opened here. Save the image, and drop the file.";
  }
  const short = text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
  return `“${short}” is neither an image nor a link to a YouTube video.`;
}

/** A field for the address of a video: phones have no key to paste with. */
function Links({ onText }: { onText: (text: string) => boolean }) {
  const [text, setText] = useState("");
  const id = useId();
  return (
    <form
      class="links row"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() && onText(text.trim())) setText("");
      }}
    >
      <label class="unseen" for={id}>
        Link to a YouTube video
      </label>
      <input
        id={id}
        inputMode="url"
        autocomplete="off"
        spellcheck={false}
        placeholder="Or paste a YouTube link"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit" class="secondary" aria-label="Classify the video’s thumbnail">
        Classify
      </button>
    </form>
  );
}

export function Choose({ onChoice }: { onChoice?: (ids: readonly number[]) => void }) {
  const [original, setOriginal] = useState(false);
  const [wrong, setWrong] = useState("");
  const take = (text: string): boolean => {
    const videos = videosIn(text)?.slice(0, MAX_IMAGES);
    setWrong(videos ? "" : explain(text));
    if (!videos) return false;
    const ids = videos.map(classifyVideo);
    onChoice?.(ids);
    return true;
  };
  useEffect(() => warmUp(), []);
  if (!predictor.value) return <NeedsToken reason="Sign in to classify images." />;
  return (
    <>
      <DropZone
        label="Drop or paste images"
        multiple
        camera
        paste
        compact={classified.value.length > 0}
        onText={take}
        onFiles={(files) => {
          setWrong("");
          const ids = classifyAll(files, original);
          onChoice?.(ids);
        }}
      >
        <FullSize on={original} onChange={setOriginal} />
      </DropZone>
      <Links onText={take} />
      {wrong && (
        <p class="warning" role="alert">
          {wrong}
        </p>
      )}
      <More />
      {classified.value.length === 0 && <Samples />}
    </>
  );
}
