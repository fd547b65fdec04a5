/** The title of a batch, which members may change. */
import { api, ask } from "../../api/client";
import { Rename } from "../../ui/rename";

export function Title({
  batch,
  name,
  onChanged,
}: {
  batch: string;
  name: string | null;
  onChanged: () => void;
}) {
  const params = { path: { batch } };
  const save = (given: string | null) =>
    ask(api().PATCH("/batches/{batch}", { params, body: { name: given } }));
  return <Rename thing="batch" name={name} save={save} onChanged={onChanged} />;
}
