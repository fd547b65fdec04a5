/** The name and the star of a version, which an admin may change. */
import { useState } from "preact/hooks";
import { api, ask, type Schemas } from "../../api/client";
import { asProblem } from "../../api/problem";
import { admin, config } from "../../api/session";
import { announce } from "../../ui/announce";
import { Rename } from "../../ui/rename";

type Named = Schemas["NamedVersion"];
type Change = Schemas["VersionNote"];

const change = (version: string, body: Change) =>
  ask(api().PATCH("/models/{version}", { params: { path: { version } }, body }));

/** The star of a version: a button for an admin. */
export function Star({
  of: { version, starred },
  onChanged,
}: {
  of: Pick<Named, "version" | "starred">;
  onChanged: () => void;
}) {
  const [busy, setBusy] = useState(false);
  if (!admin.value) return starred ? <span title="Starred">★</span> : null;
  const turn = async () => {
    setBusy(true);
    try {
      await change(version, { starred: !starred });
      onChanged();
    } catch (error) {
      const { title, detail } = asProblem(error, config.value.api);
      announce(`${title}. ${detail}`);
    }
    setBusy(false);
  };
  return (
    <button
      type="button"
      class="quiet small star"
      aria-label={`Star ${version}`}
      aria-pressed={starred}
      disabled={busy}
      onClick={() => void turn()}
    >
      {starred ? "★" : "☆"}
    </button>
  );
}

/** The name of a version, with a button to change it. */
export function Name({ of: { version, name }, onChanged }: { of: Named; onChanged: () => void }) {
  if (!admin.value) return name ? <strong>{name}</strong> : null;
  const save = (given: string | null) => change(version, { name: given });
  return <Rename thing="version" name={name} save={save} onChanged={onChanged} />;
}
