import { Page } from "../../components/Page";

export default function NotYet() {
  return <Page title="Create cluster" text="This page is not there yet." />;
}
