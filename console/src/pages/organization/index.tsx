/** The organization, and what concerns the one who is signed in: sessions and password. */
import { Button, Code, Text, Title } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconKey } from "@tabler/icons-react";
import { API_VERSION, type Schemas } from "../../api/client";
import { can, useSession } from "../../api/queries";
import { Copy } from "../../components/Copy";
import { ErrorNote } from "../../components/ErrorNote";
import { Page } from "../../components/Page";
import { moment } from "../../components/time";
import { PageLoading } from "../../shell/PageLoading";
import { PasswordDialog } from "../../shell/PasswordDialog";
import { useOrganization } from "./data";
import { Issuers } from "./Issuers";
import classes from "./organization.module.css";
import { Sessions } from "./Sessions";

export default function Organization() {
  const organization = useOrganization();
  const whoami = useSession();
  return (
    <Page title="Organization">
      {organization.isPending && <PageLoading />}
      {organization.error && <ErrorNote error={organization.error} retry={() => void organization.refetch()} />}
      {organization.data && <Facts organization={organization.data} />}
      <You />
      <Sessions />
      {can(whoami, ["ORG_ADMIN"]) && <Issuers />}
    </Page>
  );
}

function Facts({ organization }: { organization: Schemas["Organization"] }) {
  return (
    <section aria-label="Information" className={classes.section}>
      <dl className={`panel ${classes.facts}`}>
        <dt>Name</dt>
        <dd>{organization.name}</dd>
        <dt>Short name</dt>
        <dd>
          <Code>{organization.label}</Code>
        </dd>
        <dt>Id</dt>
        <dd>
          <Copy value={organization.id} label="Copy id" inline />
        </dd>
        <dt>Created</dt>
        <dd>{moment(organization.created_at)}</dd>
        <dt>Cloud API</dt>
        <dd>
          <Copy value={location.origin} label="Copy address" inline />{" "}
          <Text span size="sm" c="dimmed">
            version {API_VERSION}
          </Text>
        </dd>
      </dl>
    </section>
  );
}

function You() {
  const whoami = useSession();
  const [opened, password] = useDisclosure();
  if (!whoami) return null;
  return (
    <section className={classes.section} aria-labelledby="you">
      <Title order={2} id="you">
        You
      </Title>
      <div className={`panel ${classes.you}`}>
        <div className={classes.who}>
          <Text fw={600} className={classes.email}>
            {whoami.user.email}
          </Text>
          <Text size="sm" c="dimmed">
            {whoami.user.has_password
              ? "You sign in with your password. Changing it ends your other sessions."
              : "You have no password yet: choose one, or you will need another link."}
          </Text>
        </div>
        <Button variant="default" leftSection={<IconKey size={16} aria-hidden />} onClick={password.open}>
          {whoami.user.has_password ? "Change password" : "Choose a password"}
        </Button>
      </div>
      <PasswordDialog opened={opened} onClose={password.close} />
    </section>
  );
}
