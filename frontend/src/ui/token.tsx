/** Asking for the admin's token: once, where it is needed, and never kept beyond the tab. */
import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import { admin, keepToken, member, refused } from "../api/session";

/** Where the token is found, in words for whoever owns the service. */
const WHERE = (
  <>
    On this machine it is in <code>.local/admin-token</code>, and in the address that{" "}
    <code>make up</code> prints; a deployment keeps it in the secret that <code>sam deploy</code>{" "}
    names.
  </>
);

export function TokenForm({ reason }: { reason: string }) {
  const [given, setGiven] = useState("");
  const id = useId();
  return (
    <form
      class="card token"
      onSubmit={(event) => {
        event.preventDefault();
        if (given.trim()) keepToken(given.trim());
      }}
    >
      <h2>The admin’s token, please</h2>
      {refused.value && (
        <p class="bad" role="alert">
          The service does not know the token that this tab had: it is mistyped, or was replaced.
        </p>
      )}
      <p>
        {reason} {WHERE} It stays in this tab until you close it.
      </p>
      <label for={id}>Token</label>
      <div class="row">
        <input
          id={id}
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          value={given}
          onInput={(event) => setGiven(event.currentTarget.value)}
        />
        <button type="submit">Use it</button>
      </div>
    </form>
  );
}

/** Its children where members (`of="admin"`: admins) may see them; else asks for the token. */
export function Private({
  of = "member",
  reason,
  children,
}: {
  of?: "member" | "admin";
  reason: string;
  children: () => ComponentChildren;
}) {
  const allowed = of === "admin" ? admin.value : member.value;
  return allowed ? children() : <TokenForm reason={reason} />;
}
