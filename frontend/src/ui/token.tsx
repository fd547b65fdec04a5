/** The form for the admin token or a key, kept in the tab or, by choice, on this device. */
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
  const [remember, setRemember] = useState(false);
  const id = useId();
  return (
    <form
      class="card token"
      onSubmit={(event) => {
        event.preventDefault();
        if (given.trim()) keepToken(given.trim(), remember);
      }}
    >
      <h2>Sign in with the admin token</h2>
      {refused.value && (
        <p class="bad" role="alert">
          That token didn’t work. Check it, or ask for the current one.
        </p>
      )}
      <p>
        {reason} {WHERE} A key that an admin gave you works too.
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
      <label class="check">
        <input
          type="checkbox"
          checked={remember}
          onChange={(event) => setRemember(event.currentTarget.checked)}
        />
        Remember on this device. Otherwise until you close the tab.
      </label>
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
