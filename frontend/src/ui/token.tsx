/** The form for the admin token, which is never kept beyond the tab. */
import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import { admin, keepToken, member, refused } from "../api/session";

/** Where the owner of the service finds the token. */
const WHERE = (
  <>
    On your own machine it is in <code>.local/admin-token</code>, and in the address that{" "}
    <code>make up</code> prints. On AWS, <code>make deploy</code> prints the command that shows it.
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
      <h2>Sign in with the admin token</h2>
      {refused.value && (
        <p class="bad" role="alert">
          That token didn’t work. Check it, or ask for the current one.
        </p>
      )}
      <p>
        {reason} {WHERE} The token stays in this tab until you close it.
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
        <button type="submit">Sign in</button>
      </div>
    </form>
  );
}

/** Shows its children to members (`of="admin"`: to admins), and to others the form for the token. */
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
