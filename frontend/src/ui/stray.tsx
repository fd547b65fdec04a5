/** Files that are dropped where nothing takes them: without this the browser would open them. */
import { useEffect, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { plural } from "../format";
import { classifyAll } from "../store/classified";
import { carries, type Dropped, dropped } from "../upload/dropped";
import { zoneIsOpen } from "./drop-zone";
import { LeftOutFiles } from "./left-out";

const NOTHING: Dropped = { files: [], lost: [] };

export function Stray() {
  const { route } = useLocation();
  const [{ files, lost }, setFound] = useState(NOTHING);
  useEffect(() => {
    const onOver = (event: DragEvent) => {
      if (carries(event)) event.preventDefault();
    };
    const onDrop = (event: DragEvent) => {
      if (zoneIsOpen() || !event.dataTransfer || !carries(event)) return;
      event.preventDefault();
      void dropped(event.dataTransfer).then(setFound);
    };
    addEventListener("dragover", onOver);
    addEventListener("drop", onDrop);
    return () => {
      removeEventListener("dragover", onOver);
      removeEventListener("drop", onDrop);
    };
  }, []);
  if (files.length + lost.length === 0) return null;
  return (
    <div class="card" role="status">
      {files.length > 0 && <p>You dropped {plural(files.length, "file")} here.</p>}
      <LeftOutFiles of={lost} />
      <div class="row">
        {files.length > 0 && (
          <button
            type="button"
            class="small"
            onClick={() => {
              classifyAll(files);
              setFound(NOTHING);
              route("/classify");
            }}
          >
            Classify {files.length === 1 ? "it" : "them"}
          </button>
        )}
        <button type="button" class="secondary small" onClick={() => setFound(NOTHING)}>
          Discard
        </button>
      </div>
    </div>
  );
}
