/** Queries and mutations of the page. */
import { useQuery } from "@tanstack/react-query";
import { api, unwrap, type Schemas } from "../../api/client";
import { sessions } from "../../api/extensions";
import { keys } from "../../api/queries";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";

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
  useNotifiedMutation<unknown, string>({
    mutationFn: sessions.end,
    successMessage: "Session signed out",
    invalidates: [SESSIONS],
  });

/** Signs out several sessions, one after the other. */
export const useEndSessions = () =>
  useNotifiedMutation<void, string[]>({
    mutationFn: async (ids) => {
      for (const id of ids) await sessions.end(id);
    },
    successMessage: "Signed out of all other sessions",
    invalidates: [SESSIONS],
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
  useNotifiedMutation<Issuer, IssuerRequest>({
    mutationFn: (body) => unwrap(api.POST("/api/v1/jwt-issuers", { body })),
    successMessage: "Issuer added",
    errorTitle: null,
    invalidates: [ISSUERS],
    onSuccess,
  });

export const useDeleteIssuer = (onSuccess: () => void) =>
  useNotifiedMutation<Issuer, string>({
    mutationFn: (id) => unwrap(api.DELETE("/api/v1/jwt-issuers/{id}", { params: { path: { id } } })),
    successMessage: "Issuer deleted",
    errorTitle: null,
    invalidates: [ISSUERS],
    onSuccess,
  });
