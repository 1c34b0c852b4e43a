/** The organization, and the account of the signed-in user. */
import { Button, Code, Text, Title } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconKey } from "@tabler/icons-react";
import { API_VERSION, type Schemas } from "../../api/client";
import { isAllowed } from "../../api/permissions";
import { useSession } from "../../api/queries";
import { CopyButton } from "../../components/CopyButton";
import { DescriptionList } from "../../components/DescriptionList";
import { ErrorAlert } from "../../components/ErrorAlert";
import { Page } from "../../components/Page";
import { PageLoading } from "../../components/PageLoading";
import { PasswordDialog } from "../../features/account/PasswordDialog";
import { formatDateTime } from "../../lib/format";
import { useOrganization } from "./data";
import { Issuers } from "./Issuers";
import classes from "./organization.module.css";
import { Sessions } from "./Sessions";

export default function OrganizationPage() {
  const organization = useOrganization();
  const session = useSession();
  return (
    <Page title="Organization">
      {organization.isPending && <PageLoading />}
      {organization.error && (
        <ErrorAlert
          title="Couldn't load the organization"
          error={organization.error}
          retry={() => void organization.refetch()}
        />
      )}
      {organization.data && <Details organization={organization.data} />}
      <Account />
      <Sessions />
      {isAllowed(session, "ListJWTIssuers") && <Issuers />}
    </Page>
  );
}

function Details({ organization }: { organization: Schemas["Organization"] }) {
  return (
    <section aria-label="Information" className={classes.section}>
      <DescriptionList
        panel
        items={[
          { term: "Name", value: organization.name },
          { term: "Label", value: <Code>{organization.label}</Code> },
          { term: "ID", value: <CopyButton value={organization.id} label="Copy ID" inline /> },
          { term: "Created", value: formatDateTime(organization.created_at) },
          {
            term: "Cloud API",
            value: (
              <>
                <CopyButton value={location.origin} label="Copy URL" inline />{" "}
                <Text span size="sm" c="dimmed">
                  version {API_VERSION}
                </Text>
              </>
            ),
          },
        ]}
      />
    </section>
  );
}

function Account() {
  const session = useSession();
  const [opened, dialog] = useDisclosure();
  if (!session) return null;
  const { email, has_password: hasPassword } = session.user;
  return (
    <section className={classes.section} aria-labelledby="account">
      <Title order={2} id="account">
        Your account
      </Title>
      <div className={`panel ${classes.account}`}>
        <div className={classes.user}>
          <Text fw={600} className={classes.email}>
            {email}
          </Text>
          <Text size="sm" c="dimmed">
            {hasPassword
              ? "You sign in with a password. Changing it signs you out of your other sessions."
              : "You don't have a password. Without one, you need a new link to sign in again."}
          </Text>
        </div>
        <Button variant="default" leftSection={<IconKey size={16} aria-hidden />} onClick={dialog.open}>
          {hasPassword ? "Change password" : "Set a password"}
        </Button>
      </div>
      {opened && <PasswordDialog onClose={dialog.close} />}
    </section>
  );
}
