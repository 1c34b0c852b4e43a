import { Link } from "@tanstack/react-router";
import classes from "./Logo.module.css";

/** The name of the product with its logo, an egg case. */
export function Logo({ linked = true }: { linked?: boolean }) {
  const content = (
    <>
      <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
        <rect width="32" height="32" rx="8" fill="#0b7a6b" />
        <g fill="none" stroke="#fff" strokeWidth="2.2" strokeLinecap="round" strokeLinejoin="round">
          <path d="M7 20.500c0-6 4-10 9-10s9 4 9 10z" />
          <path d="M11.500 13v7M16 11v9M20.500 13v7" />
        </g>
      </svg>
      <span>Ootheca</span>
    </>
  );
  return linked ? (
    <Link to="/clusters" className={classes.logo}>
      {content}
    </Link>
  ) : (
    <div className={classes.logo}>{content}</div>
  );
}
