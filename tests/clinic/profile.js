// What a user sees of himself: the account and the record of his role.

const ACCOUNT = `u.id "userId", u.email, u.role, u.status, u."needPasswordChange", u."updatedAt" "accountUpdatedAt"`;
const RECORDS = {
  DOCTOR: ["doctor", `p.id, p.name, p."contactNumber", p.address, p.gender, p.experience, p."appointmentFee",
    p.qualification, p.designation, p."currentWorkingPlace", p.bio, p."averageRating"`],
  PATIENT: ["patient", `p.id, p.name, p."contactNumber", p.address, p."bloodGroup"`],
  ADMIN: ["admin", `p.id, p.name, p."contactNumber"`],
};

export async function profile(db, { email, role }) {
  const [table, columns] = RECORDS[role] ?? RECORDS.ADMIN;
  const found = await db.one(
    `select ${ACCOUNT}, ${columns} from "user" u join ${table} p on p.email = u.email where u.email = $1`, [email]);
  if (!found) throw new Error("No user found");
  return found;
}
