/** A live model that did not load or is damaged: an admin reads what to do, others one sentence. */
import type { ComponentChildren } from "preact";
import { admin } from "../api/session";
import { status, trouble } from "../store/health";

/** `children`: what an admin can do about it here. */
export function Trouble({ children }: { children: ComponentChildren }) {
  if (!trouble.value) return null;
  if (!admin.value) {
    return <p class="hint">Until an admin repairs the live model, an earlier one may answer.</p>;
  }
  return (
    <div class="failure card" role="status">
      <p class="title">The live model needs repair</p>
      <p>{trouble.value}</p>
      <p>
        Until then, every answer is from <span class="id">{status.value?.model_version}</span>.
      </p>
      {children}
    </div>
  );
}
