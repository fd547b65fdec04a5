/** Where images are chosen: each one is classified, or named with what can be done. */
import { useEffect, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { predictor } from "../../api/session";
import { plural } from "../../format";
import { warmUp } from "../../image/prepare";
import { classified, classifyAll, leftOver } from "../../store/classified";
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

export function Choose({ onChoice }: { onChoice?: (ids: readonly number[]) => void }) {
  const [original, setOriginal] = useState(false);
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
        onFiles={(files) => {
          const ids = classifyAll(files, original);
          onChoice?.(ids);
        }}
      >
        <FullSize on={original} onChange={setOriginal} />
      </DropZone>
      <More />
      {classified.value.length === 0 && <Samples />}
    </>
  );
}
