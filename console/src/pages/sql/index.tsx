import { Page } from "../../components/Page";

export default function NotYet() {
  return <Page title="Sql" text="This page is not there yet." />;
}
