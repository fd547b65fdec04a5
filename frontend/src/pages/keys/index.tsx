/** Keys for callers: an admin makes them, sees their use, and revokes them. */
import { useState } from "preact/hooks";
import { api, ask, type Schemas } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { config } from "../../api/session";
import { useLoad } from "../../api/use-load";
import { count, dateTime } from "../../format";
import { announce } from "../../ui/announce";
import { Confirm } from "../../ui/confirm";
import { CopyButton } from "../../ui/copy";
import { Scroll } from "../../ui/scroll";
import { Empty, Failure, Shown } from "../../ui/state";
import { Private } from "../../ui/token";

type Key = Schemas["Key"];
type Role = Key["role"];

const ROLES: Record<Role, string> = {
  member: "Read, run batches, send corrections, predict",
  predict: "Predict only",
};
const STATES: Record<Key["state"], string> = {
  active: "Active",
  ended: "Ended",
  revoked: "Revoked",
};
const MAX_NAME = 80;
const MAX_QUOTA = 10_000_000;

/** A new key, which the service shows this once. */
function Made({ of, onClose }: { of: Schemas["MadeKey"]; onClose: () => void }) {
  return (
    <section class="card" aria-labelledby="made-key">
      <h2 id="made-key">Key for {of.name}</h2>
      <p>Copy it now. It is not stored, so nobody can see it again.</p>
      <pre>
        <code>{of.key}</code>
      </pre>
      <div class="row">
        <CopyButton text={of.key} label="key" />
        <button type="button" class="secondary small" onClick={onClose}>
          I have copied it
        </button>
      </div>
    </section>
  );
}

function Make({ onMade }: { onMade: (made: Schemas["MadeKey"]) => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("predict");
  const [quota, setQuota] = useState("");
  const [ends, setEnds] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const make = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      const made = await ask(
        api().POST("/keys", {
          body: {
            name: name.trim(),
            role,
            quota: quota ? Number(quota) : null,
            // The end of that day, where this person is.
            ends: ends ? new Date(`${ends}T23:59:59`).toISOString() : null,
          },
        }),
      );
      setName("");
      onMade(made);
      announce("Key made");
    } catch (error) {
      setProblem(asProblem(error, config.value.api));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      class="card"
      onSubmit={(event) => {
        event.preventDefault();
        void make();
      }}
    >
      <h2>Make a key</h2>
      <label>
        For whom or what
        <input
          required
          maxLength={MAX_NAME}
          autocomplete="off"
          value={name}
          onInput={(event) => setName(event.currentTarget.value)}
        />
      </label>
      <label>
        May
        <select value={role} onChange={(event) => setRole(event.currentTarget.value as Role)}>
          {Object.entries(ROLES).map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      </label>
      <label>
        Images a day (empty: any number)
        <input
          type="number"
          min="1"
          max={MAX_QUOTA}
          value={quota}
          onInput={(event) => setQuota(event.currentTarget.value)}
        />
      </label>
      <label>
        Last day (empty: no end)
        <input type="date" value={ends} onInput={(event) => setEnds(event.currentTarget.value)} />
      </label>
      {problem && <Failure problem={problem} />}
      <button type="submit" aria-busy={busy} disabled={busy}>
        Make key
      </button>
    </form>
  );
}

function Table({ of, onRevoke }: { of: readonly Key[]; onRevoke: (key: Key) => void }) {
  if (of.length === 0) return <Empty title="No keys yet" />;
  return (
    <Scroll label="Table of keys">
      <table>
        <thead>
          <tr>
            <th scope="col">Key</th>
            <th scope="col">May</th>
            <th scope="col">State</th>
            <th scope="col" class="number">
              Images today
            </th>
            <th scope="col">
              <span class="unseen">Revoke</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {of.map((key) => (
            <tr key={key.id}>
              <th scope="row">
                {key.name}
                <small>
                  cbk_{key.id}…, made {dateTime(key.created)}
                </small>
              </th>
              <td>{ROLES[key.role]}</td>
              <td>
                {STATES[key.state]}
                {key.state === "active" && key.ends && <small>until {dateTime(key.ends)}</small>}
              </td>
              <td class="number">
                {count(key.used_today)}
                {key.quota !== null && <small>of {count(key.quota)}</small>}
              </td>
              <td class="number">
                {key.state === "active" && (
                  <button type="button" class="quiet small" onClick={() => onRevoke(key)}>
                    Revoke<span class="unseen"> {key.name}</span>
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Revoke({ of, onDone, onClose }: { of: Key; onDone: () => void; onClose: () => void }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const revoke = async () => {
    setBusy(true);
    try {
      await ask(api().POST("/keys/{key}/revoke", { params: { path: { key: of.id } } }));
      announce("Key revoked");
      onDone();
    } catch (error) {
      setProblem(asProblem(error, config.value.api));
      setBusy(false);
    }
  };
  return (
    <Confirm
      title={`Revoke the key for ${of.name}?`}
      action="Revoke"
      danger
      busy={busy}
      onConfirm={() => void revoke()}
      onClose={onClose}
    >
      <p>It stops working within a minute, for good.</p>
      {problem && <Failure problem={problem} />}
    </Confirm>
  );
}

function Page() {
  const keys = useLoad(async (signal) => (await ask(api().GET("/keys", { signal }))).items, []);
  const [made, setMade] = useState<Schemas["MadeKey"]>();
  const [revoking, setRevoking] = useState<Key>();
  return (
    <>
      {made ? (
        <Made of={made} onClose={() => setMade(undefined)} />
      ) : (
        <Make
          onMade={(one) => {
            setMade(one);
            keys.reload();
          }}
        />
      )}
      <Shown of={keys} label="Loading the keys">
        {(all) => <Table of={all} onRevoke={setRevoking} />}
      </Shown>
      {revoking && (
        <Revoke
          of={revoking}
          onDone={() => {
            setRevoking(undefined);
            keys.reload();
          }}
          onClose={() => setRevoking(undefined)}
        />
      )}
    </>
  );
}

export default function Keys() {
  return (
    <>
      <h1 tabIndex={-1}>Keys</h1>
      <p class="hint">
        Let a colleague or a program use this service without the admin token. Send a key as{" "}
        <code>Authorization: Bearer KEY</code>, or sign in to this page with it.
      </p>
      <Private of="admin" reason="Only an admin can make keys.">
        {() => <Page />}
      </Private>
    </>
  );
}
