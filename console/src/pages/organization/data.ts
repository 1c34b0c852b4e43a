/** What the page reads and changes. */
import { useQuery } from "@tanstack/react-query";
import { api, unwrap, type Schemas } from "../../api/client";
import { sessions } from "../../api/extensions";
import { keys } from "../../api/queries";
import { useChange } from "../../shell/mutation";

export type Issuer = Schemas["JWTIssuer"];
export type IssuerRequest = Schemas["JWTIssuerRequest"];

const SESSIONS = ["sessions"];
const ISSUERS = ["jwt-issuers"];

export const useOrganization = () =>
  useQuery({
    queryKey: keys.organization,
    queryFn: ({ signal }) => unwrap(api.GET("/api/v1/organization", { signal })),
  });

export const useSessions = () => useQuery({ queryKey: SESSIONS, queryFn: sessions.list });

export const useEndSession = () =>
  useChange<unknown, string>({ mutationFn: sessions.end, done: "Signed out there", touches: [SESSIONS] });

/** Ends all of `ids`, one after the other. */
export const useEndSessions = () =>
  useChange<void, string[]>({
    mutationFn: async (ids) => {
      for (const id of ids) await sessions.end(id);
    },
    done: "Signed out everywhere else",
    touches: [SESSIONS],
  });

export const useIssuers = (enabled: boolean) =>
  useQuery({
    queryKey: ISSUERS,
    queryFn: async ({ signal }) => {
      const query = { "pagination.limit": 500 };
      return (await unwrap(api.GET("/api/v1/jwt-issuers", { params: { query }, signal }))).jwt_issuers;
    },
    enabled,
  });

export const useAddIssuer = (onSuccess: () => void) =>
  useChange<Issuer, IssuerRequest>({
    mutationFn: (body) => unwrap(api.POST("/api/v1/jwt-issuers", { body })),
    done: "Its tokens are accepted now",
    failed: null,
    touches: [ISSUERS],
    onSuccess,
  });

export const useDeleteIssuer = (onSuccess: () => void) =>
  useChange<Issuer, string>({
    mutationFn: (id) => unwrap(api.DELETE("/api/v1/jwt-issuers/{id}", { params: { path: { id } } })),
    done: "Its tokens are refused now",
    failed: null,
    touches: [ISSUERS],
    onSuccess,
  });
