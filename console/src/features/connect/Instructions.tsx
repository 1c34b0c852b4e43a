import { Anchor, Button, Select, Skeleton, Stack, Tabs, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { IconDownload } from "@tabler/icons-react";
import { useMemo, useState } from "react";
import { api, unwrap, type Cluster } from "../../api/client";
import { useDatabases } from "../../api/sql-objects";
import { keys } from "../../api/queries";
import { CodeBlock } from "../../components/CodeBlock";
import { CopyButton } from "../../components/CopyButton";
import { ErrorAlert } from "../../components/ErrorAlert";
import { Secret } from "../../components/Secret";
import type { CreatedSqlUser } from "../sql-users/SqlUserForm";
import { Step } from "./Step";
import {
  certificateCommand,
  CERTIFICATE,
  connectionString,
  PASSWORD_COMMAND,
  snippets,
  target,
  type Snippet,
  type Target,
} from "./snippets";
import classes from "./Connect.module.css";

interface Props {
  cluster: Cluster;
  users: string[];
  /** Whether the user can list SQL users and databases. Otherwise their names are typed. */
  canView: boolean;
  created: CreatedSqlUser | null;
  onCreate?: () => void;
  onLeave: () => void;
}

function useTarget(cluster: string, user: string, database: string) {
  return useQuery({
    queryKey: [...keys.connectionString(cluster), user, database],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET("/api/v1/clusters/{cluster_id}/connection-string", {
          params: { path: { cluster_id: cluster }, query: { sql_user: user, database } },
          signal,
        }),
      ),
    select: target,
    placeholderData: (before) => before,
  });
}

/** The steps to connect, in order. */
export function Instructions({ cluster, users, canView, created, onCreate, onLeave }: Props) {
  const databases = (useDatabases(cluster.id, canView).data ?? []).map((database) => database.name);
  const [user, setUser] = useState(created?.name ?? users[0] ?? "");
  const [chosen, setDatabase] = useState<string | null>(null);
  const preferred = databases.length === 0 || databases.includes("defaultdb") ? "defaultdb" : databases[0];
  const database = chosen ?? preferred ?? "defaultdb";
  const answer = useTarget(cluster.id, user, database);
  const password = created?.name === user ? (created.generatedPassword ?? undefined) : undefined;
  return (
    <Stack gap="lg">
      <div className={classes.choice}>
        {canView ? (
          <>
            <Select
              label="SQL user"
              data={users}
              value={user}
              onChange={(name) => name && setUser(name)}
              searchable
              allowDeselect={false}
            />
            <Select
              label="Database"
              data={databases.length > 0 ? databases : [database]}
              value={database}
              onChange={setDatabase}
              searchable
              allowDeselect={false}
            />
          </>
        ) : (
          <>
            <TextInput label="SQL user" value={user} onChange={(event) => setUser(event.currentTarget.value)} />
            <TextInput label="Database" value={database} onChange={(event) => setDatabase(event.currentTarget.value)} />
          </>
        )}
      </div>
      {onCreate && (
        <Text size="sm" c="dimmed" mt={-12}>
          <Anchor component="button" type="button" size="sm" onClick={onCreate}>
            Create another user
          </Anchor>
          {" or "}
          <Anchor
            size="sm"
            renderRoot={(props) => (
              <Link {...props} to="/clusters/$clusterId/users" params={{ clusterId: cluster.id }} onClick={onLeave} />
            )}
          >
            reset a forgotten password
          </Anchor>
          .
        </Text>
      )}
      {password !== undefined && <Secret label={`Password of ${user}`} value={password} />}
      {answer.error && !answer.data ? (
        <ErrorAlert
          error={answer.error}
          title="Couldn't load the connection details"
          retry={() => void answer.refetch()}
        />
      ) : answer.data ? (
        <Steps cluster={cluster} to={answer.data} password={password} />
      ) : (
        <Skeleton height={300} role="status" aria-label="Loading" />
      )}
    </Stack>
  );
}

function Steps({ cluster, to, password }: { cluster: Cluster; to: Target; password?: string }) {
  const certificate = `/clusters/${encodeURIComponent(cluster.id)}/cert`;
  const languages = useMemo(() => snippets(to), [to]);
  return (
    <ol className={classes.steps}>
      <Step title="Download the CA certificate">
        <Text size="sm">
          SQL clients use it to verify the server. All clusters of this server share one certificate. The command
          replaces an existing <code>~/{CERTIFICATE}</code>.
        </Text>
        <CodeBlock
          wrap
          label="Command that downloads the certificate"
          code={certificateCommand(location.origin, cluster.id)}
        />
        <Text size="sm" c="dimmed">
          On Windows, save it as <code>%APPDATA%\postgresql\root.crt</code>.
        </Text>
        <div>
          <Button
            component="a"
            href={certificate}
            download="root.crt"
            variant="default"
            size="xs"
            leftSection={<IconDownload size={14} aria-hidden />}
          >
            Download certificate
          </Button>
        </div>
      </Step>
      <Step title="Set PGPASSWORD">
        <Text size="sm">
          Run this command, then enter the password. This keeps it out of your shell history. You can skip this step if
          you use <code>psql</code>, which prompts for the password.
        </Text>
        <CodeBlock wrap label="Command that reads the password" code={PASSWORD_COMMAND} />
      </Step>
      <Step title="Connect">
        <Tabs defaultValue="psql" keepMounted={false}>
          <Tabs.List>
            {languages.map((language) => (
              <Tabs.Tab key={language.id} value={language.id}>
                {language.label}
              </Tabs.Tab>
            ))}
            <Tabs.Tab value="string">Connection string</Tabs.Tab>
            <Tabs.Tab value="parameters">Parameters</Tabs.Tab>
          </Tabs.List>
          {languages.map((language) => (
            <Tabs.Panel key={language.id} value={language.id} pt="sm">
              <Language snippet={language} />
            </Tabs.Panel>
          ))}
          <Tabs.Panel value="string" pt="sm">
            <Stack gap="xs">
              <CodeBlock wrap label="Connection string" code={connectionString(to, password)} />
              <Text size="sm" c="dimmed">
                {password === undefined
                  ? "The password isn't included. Set PGPASSWORD, or add the password after the user name, as in user:password."
                  : "Includes the generated password. Keep it secret."}
              </Text>
            </Stack>
          </Tabs.Panel>
          <Tabs.Panel value="parameters" pt="sm">
            <Parameters to={to} />
          </Tabs.Panel>
        </Tabs>
      </Step>
    </ol>
  );
}

function Language({ snippet }: { snippet: Snippet }) {
  return (
    <Stack gap="xs">
      {snippet.install && (
        <>
          <Text size="sm" c="dimmed">
            Install the driver
          </Text>
          <CodeBlock wrap label={`Command that installs the ${snippet.label} driver`} code={snippet.install} />
          <Text size="sm" c="dimmed">
            <code>{snippet.file}</code>
          </Text>
        </>
      )}
      <CodeBlock wrap={snippet.id === "psql"} label={`${snippet.label} code`} code={snippet.code} />
    </Stack>
  );
}

function Parameters({ to }: { to: Target }) {
  const rows: [string, string][] = [
    ["Host", to.host],
    ["Port", String(to.port)],
    ["Database", to.database],
    ["User", to.user],
    ["SSL mode", "verify-full"],
    ...(to.options === null ? [] : [["Options", to.options] as [string, string]]),
  ];
  return (
    <>
      <dl className={classes.parameters}>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <CopyButton value={value} label={`Copy ${name.toLowerCase()}`} inline />
            </dd>
          </div>
        ))}
      </dl>
      {to.options !== null && (
        <Text size="sm" c="dimmed" mt="sm">
          If your client has no field for options, add the cluster to the database name:{" "}
          <code>{`${to.options.replace(/^--cluster=/, "")}.${to.database}`}</code>
        </Text>
      )}
    </>
  );
}
