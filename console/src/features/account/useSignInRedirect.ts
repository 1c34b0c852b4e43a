import { useNavigate } from "@tanstack/react-router";
import type { Session } from "../../api/extensions";
import { keys, queryClient } from "../../api/queries";

/** A path of this console. Anything else in the address bar is ignored, so that a link can't redirect elsewhere. */
export function safeRedirect(to: string | undefined): string {
  return to && /^\/(?![/\\])/.test(to) && !to.startsWith("/sign-in") ? to : "/clusters";
}

/** Returns what to do after signing in: forget what another user has loaded, and open the requested page. */
export function useSignInRedirect(to?: string) {
  const navigate = useNavigate();
  return (session: Session) => {
    queryClient.removeQueries({ predicate: (query) => query.queryKey[0] !== keys.session[0] });
    queryClient.setQueryData(keys.session, session);
    void navigate({ href: safeRedirect(to), replace: true });
  };
}
